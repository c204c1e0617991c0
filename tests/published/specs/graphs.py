"""Networks for graphs and point clouds."""

from __future__ import annotations

import torch
from specification import At, Model
from torch import Tensor

from specs.feeds import numbers


def a_graph() -> tuple[Tensor, Tensor]:
    """Return the features of six nodes and eight edges."""
    return numbers(6, 8), torch.tensor([[0, 1, 1, 2, 3, 4, 4, 5], [1, 0, 2, 1, 4, 3, 5, 4]])


MODELS = [
    Model(
        name="egnn",
        kind="graph",
        package="egnn-pytorch",
        files=("egnn_pytorch/egnn_pytorch.py",),
        target="make",
        inputs=lambda: (numbers(2, 6, 16), numbers(2, 6, 3)),
        usage="""
            def make():
                depth = 2  # search: 1..3
                return EGNN_Network(depth=depth, dim=16)
        """,
        comments=[
            At("EGNN.__init__", "m_dim", "{8, 16, 32}"),
            At("EGNN.__init__", "m_pool_method", "{'sum', 'mean'}"),
            At("EGNN.__init__", "soft_edges", "{True, False}"),
            At("EGNN.__init__", "norm_coors", "{True, False}"),
            At("EGNN.__init__", "fourier_features", "{0, 2, 4}"),
            At("EGNN.__init__", "dropout", "{0.0, 0.1}"),
            At(
                "EGNN.forward",
                "node_out = #1",
                "{self.node_mlp(node_mlp_input) + feats, self.node_mlp(node_mlp_input)}",
            ),
        ],
    ),
    Model(
        name="gcn",
        kind="graph",
        package="torch-geometric",
        files=("torch_geometric/nn/models/basic_gnn.py",),
        target="make",
        inputs=a_graph,
        usage="""
            def make():
                hidden = 16  # search: {8, 16, 32}
                layers = 2  # search: 1..3
                return GCN(8, hidden, layers, out_channels=4)
        """,
        comments=[
            At("BasicGNN.__init__", "act", "{'relu', 'gelu', 'tanh'}"),
            At("BasicGNN.__init__", "norm", "{None, 'layer_norm', 'batch_norm'}"),
            At("BasicGNN.__init__", "jk", "{None, 'last', 'cat', 'max'}"),
            At("BasicGNN.__init__", "act_first", "{True, False}"),
            At("BasicGNN.__init__", "dropout", "{0.0, 0.3}"),
        ],
    ),
    Model(
        name="attentive_fp",
        kind="graph",
        package="torch-geometric",
        files=("torch_geometric/nn/models/attentive_fp.py",),
        target="make",
        inputs=lambda: (*a_graph(), numbers(8, 3), torch.tensor([0, 0, 0, 1, 1, 1])),
        usage="""
            def make():
                hidden = 16  # search: {8, 16, 32}
                return AttentiveFP(8, hidden, 2, edge_dim=3, num_layers=2, num_timesteps=2)
        """,
        comments=[
            At("AttentiveFP.__init__", "dropout", "0.0..0.5"),
            At("GATEConv.edge_update", "alpha = #2", "{F.leaky_relu_(alpha), torch.tanh(alpha)}"),
            At("AttentiveFP.__init__", "for _", "1..3"),
            At(
                "AttentiveFP.forward",
                "out = #1",
                "{global_add_pool(x, batch).relu_(), global_add_pool(x, batch)}",
            ),
        ],
    ),
    Model(
        name="pointnet",
        kind="point cloud",
        package="pointnet",
        files=("pointnet/pointnet.py",),
        target="make",
        inputs=lambda: numbers(2, 3, 16),
        usage="""
            def make():
                return PointNetCls(3, 10, stn_3d=STN(in_dim=3))
        """,
        comments=[
            At("PointNetCls.__init__", "head_norm", "{True, False}"),
            At("PointNetCls.__init__", "dropout", "0.0..0.5"),
            At("PointNetCls.__init__", "self.act =", "{nn.GELU(), nn.ReLU()}"),
            At("STN.__init__", "self.act =", "{nn.GELU(), nn.SiLU()}"),
            At("PointNetCls.forward", "x = #4", "{torch.bmm(transform_nd, x), x}"),
            At("PointNetCls.forward", "x = #6", "{torch.max(x, dim=-1, keepdim=False)[0], x.mean(-1)}"),
        ],
    ),
    Model(
        name="point_transformer",
        kind="point cloud",
        package="point-transformer-pytorch",
        files=("point_transformer_pytorch/point_transformer_pytorch.py",),
        target="PointTransformerLayer",
        inputs=lambda: (numbers(2, 8, 16), numbers(2, 8, 3)),
        arguments={"dim": 16},
        comments=[
            At("PointTransformerLayer.__init__", "pos_mlp_hidden_dim", "{16, 32, 64}"),
            At("PointTransformerLayer.__init__", "attn_mlp_hidden_mult", "{2, 4}"),
            At("PointTransformerLayer.__init__", "num_neighbors", "{None, 4, 6}"),
            At("PointTransformerLayer.__init__", "nn.ReLU( #1", "{nn.ReLU(), nn.GELU()}"),
            At("PointTransformerLayer.forward", "v = #3", "{v + rel_pos_emb, v}"),
            At(
                "PointTransformerLayer.forward",
                "sim =",
                "{self.attn_mlp(qk_rel + rel_pos_emb), self.attn_mlp(qk_rel)}",
            ),
        ],
    ),
    Model(
        name="graph_unet",
        kind="graph",
        package="torch-geometric",
        files=("torch_geometric/nn/models/graph_unet.py",),
        target="make",
        inputs=a_graph,
        usage="""
            def make():
                hidden = 16  # search: {8, 16}
                depth = 2  # search: 1..3
                return GraphUNet(8, hidden, 4, depth)
        """,
        comments=[
            At("GraphUNet.__init__", "pool_ratios", "{0.5, 0.8}"),
            At("GraphUNet.__init__", "sum_res", "{True, False}"),
            At("GraphUNet.__init__", "act", "{'relu', 'gelu'}"),
            At("GraphUNet.forward", "x = #3", "{self.down_convs[i](x, edge_index, edge_weight), x}"),
        ],
    ),
]
