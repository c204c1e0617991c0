"""Networks whose output is as large as their input: U-Nets, diffusion, detection heads."""

from __future__ import annotations

from typing import Any

import torch
from specification import At, Model

from specs.feeds import images


def yolos(module: Any) -> dict[str, Any]:
    """Return a small configuration."""
    config = module.YolosConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=[32, 32],
        patch_size=8,
        num_detection_tokens=4,
    )
    config._attn_implementation = "eager"
    return {"config": config}


MODELS = [
    Model(
        name="unet",
        kind="U-Net",
        package="unet",
        files=("unet/unet.py", "unet/encoding.py", "unet/decoding.py", "unet/conv.py"),
        target="UNet",
        inputs=lambda: images(16, 1),
        arguments={"num_encoding_blocks": 3, "padding": 1, "out_channels_first_layer": 8},
        comments=[
            At("unet.py:UNet.__init__", "normalization", "{None, 'batch', 'instance'}"),
            At("unet.py:UNet.__init__", "pooling_type", "{'max', 'avg'}"),
            At("unet.py:UNet.__init__", "residual", "{True, False}"),
            At("unet.py:UNet.__init__", "activation", "{'ReLU', 'GELU', 'PReLU'}"),
            At("unet.py:UNet.__init__", "dropout", "{0, 0.1}"),
            At("unet.py:UNet.__init__", "upsampling_type", "{'conv', 'linear'}"),
        ],
    ),
    Model(
        name="basic_unet",
        kind="U-Net",
        package="monai",
        files=("monai/networks/nets/basic_unet.py",),
        target="BasicUNet",
        inputs=lambda: images(32, 1),
        arguments={"spatial_dims": 2, "features": (8, 8, 16, 16, 16, 8)},
        comments=[
            At("BasicUNet.__init__", "bias", "{True, False}"),
            At("BasicUNet.__init__", "dropout", "0.0..0.3"),
            At("BasicUNet.__init__", "upsample", "{'deconv', 'nontrainable'}"),
            At(
                "Down.__init__",
                "max_pooling =",
                "{Pool['MAX', spatial_dims](kernel_size=2), Pool['AVG', spatial_dims](kernel_size=2)}",
            ),
            At(
                "UpCat.forward",
                "x = #1",
                "{self.convs(torch.cat([x_e, x_0], dim=1)), self.convs(torch.cat([x_e * 0, x_0], dim=1))}",
            ),
        ],
    ),
    Model(
        name="segresnet",
        kind="U-Net",
        package="monai",
        files=("monai/networks/nets/segresnet.py", "monai/networks/blocks/segresnet_block.py"),
        target="SegResNet",
        inputs=lambda: images(16, 1),
        arguments={"spatial_dims": 2, "blocks_down": (1, 1), "blocks_up": (1,)},
        comments=[
            At("SegResNet.__init__", "init_filters", "{8, 16}"),
            At("SegResNet.__init__", "dropout_prob", "{None, 0.1, 0.3}"),
            At("SegResNet.__init__", "num_groups", "{4, 8}"),
            At("SegResNet.decode", "x = #1", "{up(x) + down_x[i + 1], up(x)}"),
            At("ResBlock.__init__", "kernel_size", "{1, 3, 5}"),
            At("ResBlock.forward", "x = #2", "{self.act(x), x.tanh()}"),
        ],
    ),
    Model(
        name="karras_unet",
        kind="diffusion",
        package="denoising-diffusion-pytorch",
        files=("denoising_diffusion_pytorch/karras_unet.py", "denoising_diffusion_pytorch/attend.py"),
        target="KarrasUnet",
        inputs=lambda: (images(16, 4), torch.tensor([0.1, 0.5])),
        arguments={
            "image_size": 16,
            "dim": 8,
            "dim_max": 16,
            "num_downsamples": 1,
            "num_blocks_per_stage": 1,
            "attn_res": (8,),
            "attn_dim_head": 8,
        },
        comments=[
            At("KarrasUnet.__init__", "fourier_dim", "{8, 16}"),
            At("KarrasUnet.__init__", "dropout", "{0.1, 0.3}"),
            At("KarrasUnet.__init__", "resnet_mp_add_t", "{0.3, 0.5}"),
            At("MPSiLU.forward", "return", "{F.silu(x) / 0.596, F.gelu(x)}"),
            At("Encoder.forward", "x = #7", "{self.res_mp_add(x, res), x}"),
            At("Encoder.forward", "x = #8", "{self.attn(x), x}"),
        ],
    ),
    Model(
        name="centernet",
        kind="detection head",
        package="pytorchcv",
        files=("pytorchcv/models/centernet.py",),
        target="make",
        inputs=images,
        usage="""
            def make():
                width = 8  # search: {8, 16}
                backbone = nn.Sequential(nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU())
                return CenterNet(backbone, 16, [width, width], return_heatmap=True, num_classes=4)
        """,
        comments=[
            At("CenterNetDecoderUnit.__init__", "conv3x3_block(bias=", "{True, False}"),
            At("CenterNetHeatmapBlock.__init__", "self.sigmoid =", "{nn.Sigmoid(), nn.Hardsigmoid()}"),
            At(
                "CenterNetHeadBlock.__init__",
                "conv3x3_block(normalization=",
                "{None, (lambda num_features: nn.BatchNorm2d(num_features))}",
            ),
            At("CenterNetHeatmapBlock.forward", "x = #4", "{x.clamp(min=eps, max=(1.0 - eps)), x}"),
        ],
    ),
    Model(
        name="attention_unet",
        kind="U-Net",
        package="monai",
        files=("monai/networks/nets/attentionunet.py",),
        target="AttentionUnet",
        inputs=lambda: images(16, 1),
        arguments={
            "spatial_dims": 2,
            "in_channels": 1,
            "out_channels": 2,
            "channels": (8, 16),
            "strides": (2,),
        },
        comments=[
            At("AttentionUnet.__init__", "kernel_size", "{3, 5}"),
            At("AttentionUnet.__init__", "up_kernel_size", "{3, 5}"),
            At("AttentionUnet.__init__", "dropout", "0.0..0.3"),
            At("AttentionBlock.__init__", "self.relu =", "{nn.ReLU(), nn.GELU(), nn.SiLU()}"),
            At("AttentionBlock.forward", "return", "{x * psi, x}"),
        ],
    ),
    Model(
        name="yolos",
        kind="detection head",
        package="transformers",
        files=("transformers/models/yolos/modeling_yolos.py",),
        target="YolosForObjectDetection",
        inputs=lambda: {"pixel_values": images()},
        prepare=yolos,
        comments=[
            At(
                "YolosMLPPredictionHead.__init__",
                "h =",
                "{[hidden_dim] * (num_layers - 1), [2 * hidden_dim] * (num_layers - 1)}",
            ),
            At(
                "YolosMLPPredictionHead.forward",
                "x =",
                "{nn.functional.relu(layer(x)) if i < self.num_layers - 1 else layer(x), layer(x)}",
            ),
            At("YolosOutput.forward", "hidden_states = #3", "{hidden_states + input_tensor, hidden_states}"),
            At(
                "YolosLayer.__init__",
                "self.layernorm_after =",
                "{nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps), nn.RMSNorm(config.hidden_size)}",
            ),
            At(
                "YolosSelfAttention.__init__",
                "self.num_attention_heads =",
                "{config.num_attention_heads, 1, 4}",
            ),
        ],
    ),
]
