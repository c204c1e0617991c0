"""Networks for language, sound and other sequences: transformers, state spaces, recurrent ones."""

from __future__ import annotations

from typing import Any

from specification import At, Model

from specs.feeds import numbers, tokens


def gpt2(module: Any) -> dict[str, Any]:
    """Return a small configuration."""
    return {
        "config": module.GPT2Config(
            vocab_size=32, n_positions=16, n_embd=32, n_layer=2, n_head=2, use_cache=False
        )
    }


def bert(module: Any) -> dict[str, Any]:
    """Return a small configuration."""
    config = module.BertConfig(
        vocab_size=32,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=16,
    )
    config._attn_implementation = "eager"
    return {"config": config}


MODELS = [
    Model(
        name="gpt2",
        kind="transformer decoder",
        package="transformers",
        files=("transformers/models/gpt2/modeling_gpt2.py",),
        target="GPT2LMHeadModel",
        inputs=lambda: {"input_ids": tokens(32, 2, 8)},
        prepare=gpt2,
        comments=[
            At(
                "GPT2MLP.__init__", "self.act =", "{ACT2FN[config.activation_function], nn.ReLU(), nn.SiLU()}"
            ),
            At(
                "GPT2Block.__init__",
                "inner_dim =",
                "{config.n_inner if config.n_inner is not None else 4 * hidden_size, 2 * hidden_size}",
            ),
            At(
                "GPT2Block.__init__",
                "self.ln_1 =",
                "{nn.LayerNorm(hidden_size, eps=config.layer_norm_epsilon), nn.RMSNorm(hidden_size)}",
            ),
            At("GPT2Attention.__init__", "self.num_heads =", "{config.num_attention_heads, 1, 4}"),
            At(
                "GPT2MLP.__init__", "self.dropout =", "{nn.Dropout(config.resid_pdrop), nn.Dropout(0.0..0.3)}"
            ),
            At(
                "GPT2Block.forward",
                "hidden_states = #6",
                "{residual + feed_forward_hidden_states, feed_forward_hidden_states}",
            ),
        ],
    ),
    Model(
        name="mamba",
        kind="state space",
        package="mambapy",
        files=("mambapy/mamba.py",),
        target="make",
        inputs=lambda: numbers(2, 8, 16),
        usage="""
            def make():
                config = MambaConfig(
                    d_model=16,
                    n_layers=2,  # search: 1..3
                    pscan=False,
                )
                return Mamba(config)
        """,
        comments=[
            At("MambaConfig", "d_state =", "{8, 16}"),
            At("MambaConfig", "expand_factor =", "1..3"),
            At("MambaConfig", "d_conv =", "{2, 3, 4}"),
            At(
                "ResidualBlock.forward",
                "output =",
                "{self.mixer(self.norm(x)) + x, self.mixer(self.norm(x))}",
            ),
            At("MambaBlock.forward", "x = #4", "{F.silu(x), F.gelu(x), F.relu(x)}"),
        ],
    ),
    Model(
        name="conformer",
        kind="audio",
        package="conformer",
        files=("conformer/conformer.py",),
        target="Conformer",
        inputs=lambda: numbers(2, 12, 16),
        arguments={"dim": 16, "depth": 2, "dim_head": 8},
        comments=[
            At("Conformer.__init__", "heads", "{2, 4, 8}"),
            At("Conformer.__init__", "ff_mult", "2..4"),
            At("Conformer.__init__", "conv_kernel_size", "{7, 15, 31}"),
            At("FeedForward.__init__", "Swish(", "{Swish(), nn.GELU(), nn.ReLU()}"),
            At("ConformerBlock.forward", "x = #3", "{self.conv(x) + x, x}"),
            At("ConformerBlock.__init__", "self.post_norm =", "{nn.LayerNorm(dim), nn.RMSNorm(dim)}"),
            At("Conformer.__init__", "for _", "1..3"),
        ],
    ),
    Model(
        name="minlm",
        kind="recurrent",
        package="minGRU-pytorch",
        files=("minGRU_pytorch/minLM.py", "minGRU_pytorch/minGRU.py"),
        target="minLM",
        inputs=lambda: tokens(32, 2, 8),
        arguments={"num_tokens": 32, "dim": 16, "depth": 2},
        comments=[
            At("minLM.__init__", "ff_mult", "{2, 4}"),
            At("minLM.__init__", "expansion", "{1.0, 1.5, 2.0}"),
            At("minLM.__init__", "use_lstm", "{True, False}"),
            At("minLM.__init__", "enable_conv", "{True, False}"),
            At("FeedForward", "nn.GELU(", "{nn.GELU(), nn.ReLU(), nn.SiLU()}"),
            At("minLM.forward", "x = #5", "{ff(ff_norm(x)) + x, ff(ff_norm(x))}"),
            At("g", "return", "{torch.where(x >= 0, x + 0.5, x.sigmoid()), x.sigmoid()}"),
        ],
    ),
    Model(
        name="tcn",
        kind="audio",
        package="pytorch-tcn",
        files=("pytorch_tcn/tcn.py",),
        target="TCN",
        inputs=lambda: numbers(2, 4, 16),
        arguments={"num_inputs": 4, "num_channels": [8, 16]},
        comments=[
            At("TCN.__init__", "kernel_size", "{2, 3, 4}"),
            At("TCN.__init__", "use_norm", "{'weight_norm', 'batch_norm', None}"),
            At("TCN.__init__", "activation", "{'relu', 'gelu', 'tanh'}"),
            At("TCN.__init__", "use_skip_connections", "{True, False}"),
            At("TCN.__init__", "use_gate", "{True, False}"),
            At("TCN.__init__", "dropout", "0.0..0.3"),
            At("TCN.__init__", "causal", "{True, False}"),
        ],
    ),
    Model(
        name="ft_transformer",
        kind="transformer encoder",
        package="rtdl-revisiting-models",
        files=("rtdl_revisiting_models.py",),
        target="make",
        inputs=lambda: (numbers(4, 5), None),
        usage="""
            def make():
                return FTTransformer(
                    n_cont_features=5,
                    cat_cardinalities=[],
                    d_out=1,
                    n_blocks=2,  # search: 1..3
                    d_block=16,  # search: {16, 32}
                    attention_n_heads=4,  # search: {2, 4, 8}
                    attention_dropout=0.1,
                    ffn_d_hidden=None,
                    ffn_d_hidden_multiplier=1.5,  # search: 1.0..2.0 step 0.5
                    ffn_dropout=0.1,
                    residual_dropout=0.0,
                )
        """,
        comments=[
            At("FTTransformerBackbone.__init__", "ffn_activation", "{'ReGLU', 'ReLU'}"),
            At("FTTransformerBackbone.forward", "x = #7", "{x_identity + x, x}"),
        ],
    ),
    Model(
        name="tabular_resnet",
        kind="MLP",
        package="rtdl-revisiting-models",
        files=("rtdl_revisiting_models.py",),
        target="make",
        inputs=lambda: numbers(4, 5),
        usage="""
            def make():
                return ResNet(
                    d_in=5,
                    d_out=1,
                    n_blocks=2,  # search: 1..4
                    d_block=16,  # search: {8, 16, 32}
                    d_hidden=None,
                    d_hidden_multiplier=2.0,  # search: {1.0, 2.0}
                    dropout1=0.1,  # search: 0.0..0.5
                    dropout2=0.0,
                )
        """,
        comments=[
            At("ResNet.__init__", "nn.ReLU( #1", "{nn.ReLU(), nn.GELU()} as activation"),
            At("ResNet.forward", "x = #2", "{x + block(x), block(x)}"),
        ],
    ),
    Model(
        name="simple_vit_1d",
        kind="transformer encoder",
        package="vit-pytorch",
        files=("vit_pytorch/simple_vit_1d.py",),
        target="SimpleViT",
        inputs=lambda: numbers(2, 3, 32),
        arguments={
            "seq_len": 32,
            "patch_size": 8,
            "num_classes": 10,
            "dim": 16,
            "depth": 2,
            "heads": 2,
            "mlp_dim": 32,
        },
        comments=[
            At("SimpleViT.__init__", "dim_head", "{16, 32, 64}"),
            At("FeedForward.__init__", "nn.GELU(", "{nn.GELU(), nn.ReLU()}"),
            At("Transformer.__init__", "self.norm =", "{nn.LayerNorm(dim), nn.RMSNorm(dim)}"),
            At("Transformer.forward", "x = #1", "{attn(x) + x, attn(x)}"),
            At("SimpleViT.forward", "x = #4", "{x.mean(dim = 1), x.amax(dim = 1)}"),
        ],
    ),
    Model(
        name="bert",
        kind="transformer encoder",
        package="transformers",
        files=("transformers/models/bert/modeling_bert.py",),
        target="BertModel",
        inputs=lambda: {"input_ids": tokens(32, 2, 8)},
        prepare=bert,
        comments=[
            At(
                "BertIntermediate.forward",
                "hidden_states = #2",
                "{self.intermediate_act_fn(hidden_states), torch.relu(hidden_states)}",
            ),
            At(
                "BertOutput.__init__",
                "self.dropout =",
                "{nn.Dropout(config.hidden_dropout_prob), nn.Dropout(0.0..0.3)}",
            ),
            At(
                "BertOutput.forward",
                "hidden_states = #3",
                "{self.LayerNorm(hidden_states + input_tensor), self.LayerNorm(hidden_states)}",
            ),
            At("BertPooler.__init__", "self.activation =", "{nn.Tanh(), nn.GELU()}"),
            At(
                "BertSelfAttention.__init__",
                "self.num_attention_heads =",
                "{config.num_attention_heads, 1, 4}",
            ),
        ],
    ),
    Model(
        name="cfc",
        kind="recurrent",
        package="ncps",
        files=("ncps/torch/cfc_cell.py",),
        target="CfCCell",
        inputs=lambda: (numbers(2, 4), numbers(2, 8), 1.0),
        arguments={"input_size": 4, "hidden_size": 8},
        comments=[
            At("CfCCell.__init__", "mode", "{'default', 'pure', 'no_gate'}"),
            At("CfCCell.__init__", "backbone_activation", "{'lecun_tanh', 'silu', 'relu', 'gelu'}"),
            At("CfCCell.__init__", "backbone_units", "{32, 64, 128}"),
            At("CfCCell.__init__", "backbone_layers", "0..3"),
            At("CfCCell.__init__", "backbone_dropout", "{0.0, 0.1}"),
            At("LeCun.forward", "return", "{1.7159 * self.tanh(0.666 * x), self.tanh(x)}"),
            At("CfCCell.__init__", "self.sigmoid =", "{nn.Sigmoid(), nn.Hardsigmoid()}"),
        ],
    ),
    Model(
        name="performer",
        kind="transformer encoder",
        package="performer-pytorch",
        files=("performer_pytorch/performer_pytorch.py",),
        target="Performer",
        inputs=lambda: numbers(2, 8, 16),
        arguments={"dim": 16, "depth": 2, "heads": 2, "dim_head": 8, "auto_check_redraw": False},
        comments=[
            At("Performer.__init__", "ff_mult", "{2, 4}"),
            At("Performer.__init__", "generalized_attention", "{True, False}"),
            At("Performer.__init__", "use_scalenorm", "{True, False}"),
            At("Performer.__init__", "ff_glu", "{True, False}"),
            At("Performer.__init__", "qkv_bias", "{True, False}"),
            At("FeedForward.__init__", "self.act =", "{activation(), nn.ReLU()}"),
            At("Performer.__init__", "ff_dropout", "{0., 0.1}"),
        ],
    ),
    Model(
        name="perceiver",
        kind="transformer encoder",
        package="perceiver-pytorch",
        files=("perceiver_pytorch/perceiver_pytorch.py",),
        target="Perceiver",
        inputs=lambda: numbers(2, 4, 4, 3),
        arguments={
            "num_freq_bands": 2,
            "depth": 2,
            "max_freq": 4.0,
            "num_latents": 4,
            "latent_dim": 16,
            "num_classes": 10,
        },
        comments=[
            At("Perceiver.__init__", "latent_heads", "{2, 4, 8}"),
            At("Perceiver.__init__", "cross_dim_head", "{16, 32, 64}"),
            At("Perceiver.__init__", "latent_dim_head", "{8, 64}"),
            At("Perceiver.__init__", "weight_tie_layers", "{True, False}"),
            At("Perceiver.__init__", "self_per_cross_attn", "1..2"),
            At("FeedForward.__init__", "mult", "{2, 4}"),
            At("GEGLU.forward", "return", "{x * F.gelu(gates), x * torch.sigmoid(gates)}"),
        ],
    ),
]
