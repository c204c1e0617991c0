"""Transformers and mixers for images."""

from __future__ import annotations

from typing import Any

from specification import At, Model

from specs.feeds import images


def convnext(module: Any) -> dict[str, Any]:
    """Return a small configuration."""
    return {"config": module.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 2], num_stages=2)}


MODELS = [
    Model(
        name="vit",
        kind="transformer encoder",
        package="vit-pytorch",
        files=("vit_pytorch/vit.py",),
        target="make",
        inputs=images,
        usage="""
            def make():
                return ViT(
                    image_size=32,
                    patch_size=8,
                    num_classes=10,
                    dim=32,  # search: {16, 32, 48}
                    depth=2,  # search: 1..3
                    heads=2,  # search: {1, 2, 4}
                    mlp_dim=64,  # search: 32..128 step 32
                    dim_head=16,
                )
        """,
        comments=[
            At("FeedForward.__init__", "nn.GELU(", "{nn.GELU(), nn.ReLU(), nn.SiLU()}"),
            At("Transformer.forward", "x = #1", "{attn(x) + x, attn(x)} shared"),
            At("ViT.__init__", "self.dropout =", "{nn.Dropout(emb_dropout), nn.Dropout(0.1)}"),
            At("Transformer.__init__", "self.norm =", "{nn.LayerNorm(dim), nn.RMSNorm(dim)}"),
        ],
    ),
    Model(
        name="cct",
        kind="transformer encoder",
        package="vit-pytorch",
        files=("vit_pytorch/cct.py",),
        target="make",
        inputs=images,
        usage="""
            def make():
                return CCT(
                    img_size=32,
                    embedding_dim=32,  # search: {16, 32, 64}
                    num_layers=2,  # search: 1..3
                    num_heads=2,  # search: {2, 4}
                    mlp_ratio=2.0,
                    num_classes=10,
                    kernel_size=3,
                    stride=1,
                    padding=1,
                    positional_embedding="learnable",
                )
        """,
        comments=[
            At("TransformerEncoderLayer.__init__", "self.activation =", "{F.gelu, F.relu, F.silu}"),
            At("TransformerEncoderLayer.__init__", "self.norm1 =", "{nn.LayerNorm(d_model), nn.Identity()}"),
            At(
                "TransformerEncoderLayer.forward",
                "src = #3",
                "{src + self.drop_path(self.dropout2(src2)), src + src2}",
            ),
            At("CCT.__init__", "n_conv_layers", "{1, 2}"),
            At("CCT.__init__", "dropout_rate", "{0., 0.1}"),
        ],
    ),
    Model(
        name="mobile_vit",
        kind="transformer encoder",
        package="vit-pytorch",
        files=("vit_pytorch/mobile_vit.py",),
        target="make",
        inputs=images,
        usage="""
            def make():
                width = 8  # search: {8, 16}
                dims = [16, 24, 32]
                channels = [8, 8, width, width, 16, 16, 16, 16, 16, 16, 32]
                return MobileViT((32, 32), dims, channels, num_classes=10, expansion=2, patch_size=(1, 1), depths=(1, 1, 1))
        """,
        comments=[
            At("Transformer.__init__", "for _", "1..2"),
            At("FeedForward.__init__", "nn.SiLU(", "{nn.SiLU(), nn.GELU(), nn.ReLU()}"),
            At("MV2Block.__init__", "expansion", "{2, 4, 6}"),
            At("MV2Block.forward", "out = #2", "{out + x, out}"),
            At("Attention.__init__", "heads", "{4, 8}"),
            At("Transformer.forward", "x = #2", "{ff(x) + x, ff(x)}"),
        ],
    ),
    Model(
        name="mlp_mixer",
        kind="mixer",
        package="mlp-mixer-pytorch",
        files=("mlp_mixer_pytorch/mlp_mixer_pytorch.py",),
        target="make",
        inputs=images,
        usage="""
            def make():
                dim = 32  # search: {16, 32, 64}
                depth = 2  # search: 1..3
                return MLPMixer(image_size=32, channels=3, patch_size=8, dim=dim, depth=depth, num_classes=10)
        """,
        comments=[
            At("FeedForward", "nn.GELU(", "{nn.GELU(), nn.ReLU(), nn.SiLU()}"),
            At("MLPMixer", "expansion_factor", "expansion_factor in {2, 4}"),
            At("FeedForward", "nn.Dropout( #1", "{nn.Dropout(dropout), nn.Dropout(0.1..0.3)} as drop"),
            At("PreNormResidual.__init__", "self.norm =", "{nn.LayerNorm(dim), nn.Identity()}"),
            At("PreNormResidual.forward", "return", "{self.fn(self.norm(x)) + x, self.fn(self.norm(x))}"),
        ],
    ),
    Model(
        name="cait",
        kind="transformer encoder",
        package="vit-pytorch",
        files=("vit_pytorch/cait.py",),
        target="make",
        inputs=images,
        usage="""
            def make():
                return CaiT(
                    image_size=32,
                    patch_size=8,
                    num_classes=10,
                    dim=32,  # search: {16, 32}
                    depth=2,  # search: 1..3
                    cls_depth=1,
                    heads=2,  # search: {2, 4}
                    mlp_dim=32,
                    dim_head=8,
                )
        """,
        comments=[
            At("FeedForward.__init__", "nn.GELU(", "{nn.GELU(), nn.ReLU()}"),
            At(
                "Transformer.forward",
                "x = #1",
                "{attn(x, context = context) + x, attn(x, context = context)} shared",
            ),
            At(
                "Attention.forward",
                "dots = #2",
                "{einsum('b h i j, h g -> b g i j', dots, self.mix_heads_pre_attn), dots}",
            ),
            At("LayerScale.forward", "return", "{self.fn(x, **kwargs) * self.scale, self.fn(x, **kwargs)}"),
        ],
    ),
    Model(
        name="cvt",
        kind="transformer encoder",
        package="vit-pytorch",
        files=("vit_pytorch/cvt.py",),
        target="CvT",
        inputs=images,
        arguments={"num_classes": 10, "s1_emb_dim": 8, "s2_emb_dim": 16, "s3_emb_dim": 16, "s3_depth": 1},
        comments=[
            At("CvT.__init__", "s1_proj_kernel", "{3, 5}"),
            At("CvT.__init__", "s2_heads", "{1, 3}"),
            At("CvT.__init__", "s1_depth", "1..2"),
            At("CvT.__init__", "s1_mlp_mult", "{2, 4}"),
            At("FeedForward.__init__", "nn.GELU(", "{nn.GELU(), nn.SiLU()}"),
            At("Transformer.forward", "x = #2", "{ff(x) + x, ff(x)}"),
        ],
    ),
    Model(
        name="levit",
        kind="transformer encoder",
        package="vit-pytorch",
        files=("vit_pytorch/levit.py",),
        target="LeViT",
        inputs=lambda: images(32),
        arguments={
            "image_size": 32,
            "num_classes": 10,
            "dim": (16, 16, 32),
            "depth": 1,
            "heads": (1, 2, 2),
            "mlp_mult": 2,
        },
        comments=[
            At("LeViT.__init__", "dim_key", "{8, 16, 32}"),
            At("LeViT.__init__", "dim_value", "{32, 64}"),
            At("FeedForward.__init__", "nn.Hardswish(", "{nn.Hardswish(), nn.GELU(), nn.ReLU()}"),
            At("Transformer.forward", "attn_res =", "{(x if self.attn_residual else 0), 0}"),
            At("LeViT.__init__", "dropout", "{0., 0.1}"),
        ],
    ),
    Model(
        name="xcit",
        kind="transformer encoder",
        package="vit-pytorch",
        files=("vit_pytorch/xcit.py",),
        target="XCiT",
        inputs=images,
        arguments={
            "image_size": 32,
            "patch_size": 8,
            "num_classes": 10,
            "dim": 16,
            "depth": 2,
            "cls_depth": 1,
            "heads": 2,
            "mlp_dim": 32,
        },
        comments=[
            At("XCiT.__init__", "dim_head", "{16, 32, 64}"),
            At("XCiT.__init__", "local_patch_kernel_size", "{3, 5}"),
            At("XCiT.__init__", "emb_dropout", "0.0..0.3"),
            At("LocalPatchInteraction.__init__", "nn.GELU(", "{nn.GELU(), nn.ReLU()}"),
            At("XCATransformer.forward", "x = #2", "{local_patch_interaction(x) + x, x}"),
            At("XCiT.__init__", "self.final_norm =", "{nn.LayerNorm(dim), nn.Identity()}"),
        ],
    ),
    Model(
        name="permutator",
        kind="mixer",
        package="mlp-mixer-pytorch",
        files=("mlp_mixer_pytorch/permutator.py",),
        target="Permutator",
        inputs=images,
        arguments={
            "image_size": 32,
            "patch_size": 8,
            "dim": 16,
            "depth": 2,
            "num_classes": 10,
            "segments": 4,
        },
        comments=[
            At("Permutator", "expansion_factor", "expansion_factor in {2, 4}"),
            At("Permutator", "nn.GELU(", "{nn.GELU(), nn.ReLU(), nn.SiLU()}"),
            At("PreNormResidual.__init__", "self.norm =", "{nn.LayerNorm(dim), nn.Identity()}"),
            At(
                "PreNormResidual.forward",
                "return",
                "{self.fn(self.norm(x)) + x, self.fn(self.norm(x))} as residual",
            ),
            At("Permutator", "nn.LayerNorm(", "{nn.LayerNorm(dim), nn.RMSNorm(dim)}"),
        ],
    ),
    Model(
        name="gmlp",
        kind="mixer",
        package="g-mlp-pytorch",
        files=("g_mlp_pytorch/g_mlp_pytorch.py",),
        target="gMLPVision",
        inputs=images,
        arguments={"image_size": 32, "patch_size": 8, "num_classes": 10, "dim": 16, "depth": 2},
        comments=[
            At("gMLPVision.__init__", "heads", "{1, 2, 4}"),
            At("gMLPVision.__init__", "ff_mult", "2..4"),
            At("gMLPVision.__init__", "attn_dim", "{None, 8, 16}"),
            At("gMLPBlock.__init__", "nn.GELU(", "{nn.GELU(), nn.ReLU()}"),
            At("SpatialGatingUnit.forward", "return", "{self.act(gate) * res, torch.tanh(gate) * res}"),
        ],
    ),
    Model(
        name="axial_transformer",
        kind="transformer encoder",
        package="axial-attention",
        files=("axial_attention/axial_attention.py",),
        target="AxialImageTransformer",
        inputs=lambda: images(8, 16),
        arguments={"dim": 16, "depth": 2, "reversible": False},
        comments=[
            At("AxialImageTransformer.__init__", "heads", "heads in {2, 4, 8}"),
            At("AxialImageTransformer.__init__", "dim_heads", "dim_heads in {None, 4, 8}"),
            At(
                "AxialImageTransformer.__init__",
                "nn.LeakyReLU(",
                "{nn.LeakyReLU(inplace=True), nn.GELU(), nn.SiLU()}",
            ),
            At("Sequential.forward", "x = #2", "{x + g(x), g(x)}"),
            At("SelfAttention.forward", "dots = #2", "{dots.softmax(dim=-1), dots.sigmoid()}"),
            At("AxialImageTransformer.__init__", "for _", "1..3"),
        ],
    ),
    Model(
        name="convnext",
        kind="CNN",
        package="transformers",
        files=("transformers/models/convnext/modeling_convnext.py",),
        target="ConvNextModel",
        inputs=lambda: {"pixel_values": images()},
        prepare=convnext,
        comments=[
            At("ConvNextLayer.__init__", "self.act =", "{ACT2FN[config.hidden_act], nn.ReLU(), nn.SiLU()}"),
            At(
                "ConvNextLayer.__init__",
                "self.drop_path =",
                "{ConvNextDropPath(drop_path) if drop_path > 0.0 else nn.Identity(), ConvNextDropPath(0.1)}",
            ),
            At(
                "ConvNextLayer.__init__",
                "self.layernorm =",
                "{ConvNextLayerNorm(dim, eps=1e-6), nn.RMSNorm(dim)}",
            ),
            At(
                "ConvNextLayer.forward",
                "features = #9",
                "{residual + self.drop_path(features), self.drop_path(features)}",
            ),
            At("ConvNextLayer.forward", "features = #7", "{self.layer_scale_parameter * features, features}"),
        ],
    ),
]
