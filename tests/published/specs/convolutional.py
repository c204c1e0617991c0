"""Convolutional networks for images."""

from __future__ import annotations

from specification import At, Model

from specs.feeds import images

MODELS = [
    Model(
        name="resnet",
        kind="CNN",
        package="pytorchcv",
        files=("pytorchcv/models/resnet.py",),
        target="make",
        inputs=images,
        usage="""
            def make():
                width = 16  # search: {8, 16, 24}
                blocks = 1  # search: 1..2
                net = ResNet([[width] * blocks, [2 * width] * blocks], 16, bottleneck=False, conv1_stride=False, num_classes=10)
                net.features.final_pool = nn.AdaptiveAvgPool2d(1)
                return net
        """,
        comments=[
            At("ResUnit.__init__", "self.activ =", "{final_activation(), nn.GELU(), nn.SiLU()}"),
            At("ResUnit.forward", "x = #2", "{x + identity, x}"),
            At(
                "ResInitBlock.__init__",
                "self.pool =",
                "{nn.MaxPool2d(kernel_size=3, stride=2, padding=1), nn.AvgPool2d(2)}",
            ),
            At("ResBlock.__init__", "conv3x3_block(bias= #1", "{bias, True} as first_bias"),
            At(
                "ResNet.__init__",
                "self.output =",
                "{nn.Linear(in_features=in_channels, out_features=num_classes), nn.Sequential(nn.Dropout(0.1..0.5), nn.Linear(in_channels, num_classes))}",
            ),
        ],
    ),
    Model(
        name="mobilenetv2",
        kind="CNN",
        package="pytorchcv",
        files=("pytorchcv/models/mobilenetv2.py", "pytorchcv/models/common/conv.py"),
        target="make",
        inputs=images,
        usage="""
            def make():
                wide = 16  # search: {8, 16, 24}
                last = 32  # search: 32..64 step 16
                net = MobileNetV2([[8], [wide, wide]], 8, last, remove_exp_conv=False, num_classes=10)
                net.features.final_pool = nn.AdaptiveAvgPool2d(1)
                return net
        """,
        comments=[
            At(
                "LinearBottleneck.__init__",
                "mid_channels =",
                "{in_channels * 6 if expansion else in_channels, in_channels * 4, in_channels * 3}",
            ),
            At(
                "MobileNetV2.__init__",
                "activation =",
                "{lambda_relu6(), (lambda: nn.SiLU()), (lambda: nn.Hardswish())}",
            ),
            At("LinearBottleneck.forward", "x = #4", "{x + identity, x}"),
            At("ConvBlock.forward", "x = #2", "{self.conv(x), self.conv(x) * 0.5} as scaled shared"),
        ],
    ),
    Model(
        name="shufflenetv2",
        kind="CNN",
        package="pytorchcv",
        files=("pytorchcv/models/shufflenetv2.py",),
        target="make",
        inputs=images,
        usage="""
            def make():
                width = 16  # search: {8, 16, 32}
                units = 2  # search: 1..3
                net = ShuffleNetV2([[width] * units, [2 * width] * 2], 8, 32, num_classes=10)
                net.features.final_pool = nn.AdaptiveAvgPool2d(1)
                return net
        """,
        comments=[
            At("ShuffleNetV2.__init__", "use_se", "{True, False}"),
            At("ShuffleNetV2.__init__", "use_residual", "{True, False}"),
            At("ShuffleUnit.__init__", "self.activ =", "{nn.ReLU(inplace=True), nn.GELU(), nn.SiLU()}"),
            At("ShuffleUnit.forward", "y2 = #9", "{y2 + x2, y2}"),
        ],
    ),
    Model(
        name="densenet",
        kind="CNN",
        package="pytorchcv",
        files=("pytorchcv/models/densenet.py",),
        target="make",
        inputs=images,
        usage="""
            def make():
                growth = 8  # search: {4, 8}
                net = DenseNet([[16 + growth, 16 + 2 * growth], [16 + 2 * growth]], 16, num_classes=10)
                net.features.final_pool = nn.AdaptiveAvgPool2d(1)
                return net
        """,
        comments=[
            At("DenseUnit.__init__", "bn_size =", "{2, 4}"),
            At("DenseNet.__init__", "dropout_rate", "{0.0, 0.1}"),
            At(
                "TransitionBlock.__init__",
                "self.pool =",
                "{nn.AvgPool2d(kernel_size=2, stride=2, padding=0), nn.MaxPool2d(2)}",
            ),
            At("DenseUnit.forward", "x = #3", "{self.dropout(x), x}"),
            At(
                "DenseNet.__init__",
                "self.output =",
                "{nn.Linear(in_features=in_channels, out_features=num_classes), nn.Sequential(nn.Dropout(0.2), nn.Linear(in_channels, num_classes))}",
            ),
        ],
    ),
    Model(
        name="squeezenet",
        kind="CNN",
        package="pytorchcv",
        files=("pytorchcv/models/squeezenet.py",),
        target="make",
        inputs=images,
        usage="""
            def make():
                width = 16  # search: {16, 32}
                net = SqueezeNet([[width, width], [2 * width]], [[0, 1], [0]], 3, 16, num_classes=10)
                net.output.final_pool = nn.AdaptiveAvgPool2d(1)
                return net
        """,
        comments=[
            At("FireConv.__init__", "self.activ =", "{nn.ReLU(inplace=True), nn.GELU(), nn.SiLU()} as activ"),
            At("SqueezeNet.__init__", "squeeze_channels =", "{out_channels // 8, out_channels // 4}"),
            At("FireUnit.forward", "out = #2", "{out + identity, out}"),
            At("SqueezeInitBlock.__init__", "self.activ =", "{nn.ReLU(inplace=True), nn.Hardswish()}"),
            At("SqueezeNet.__init__", "nn.Dropout(p=", "0.0..0.5"),
        ],
    ),
    Model(
        name="mnasnet",
        kind="CNN",
        package="pytorchcv",
        files=("pytorchcv/models/mnasnet.py",),
        target="make",
        inputs=images,
        usage="""
            def make():
                first = 3  # search: {2, 3, 6}
                second = 6  # search: {3, 6}
                reduce = 4  # search: {0, 4}
                net = MnasNet([[8, 8], [16]], (8, 8), (16, 32), [[1, 0], [1]], [[first, first], [second]], [[0, 0], [reduce]], False, False, num_classes=10)
                net.features.final_pool = nn.AdaptiveAvgPool2d(1)
                return net
        """,
        comments=[
            At("MnasNet.__init__", "use_kernel3 =", "{True, False, kernels3[i][j] == 1}"),
            At("DwsExpSEResUnit.forward", "x = #5", "{x + identity, x}"),
            At(
                "DwsExpSEResUnit.__init__",
                "activation",
                "{lambda_relu(), (lambda: nn.SiLU()), (lambda: nn.Hardswish())}",
            ),
        ],
    ),
    Model(
        name="efficientnet",
        kind="CNN",
        package="efficientnet-pytorch",
        files=("efficientnet_pytorch/model.py",),
        target="make",
        inputs=images,
        usage="""
            def make():
                from efficientnet_pytorch.utils import BlockDecoder, efficientnet
                wide = 1.0  # search: {0.5, 1.0}
                deep = 1.0  # search: {1.0, 2.0}
                _, settings = efficientnet(wide, deep, image_size=32, num_classes=10)
                blocks = BlockDecoder.decode(["r1_k3_s11_e1_i32_o16_se0.25", "r1_k5_s22_e6_i16_o24_se0.25"])
                return EfficientNet(blocks, settings)
        """,
        comments=[
            At(
                "MBConvBlock.__init__", "self._swish =", "{MemoryEfficientSwish(), nn.ReLU(), nn.Hardswish()}"
            ),
            At(
                "MBConvBlock.__init__",
                "self.has_se =",
                "{(self._block_args.se_ratio is not None) and (0 < self._block_args.se_ratio <= 1), False}",
            ),
            At("MBConvBlock.__init__", "k =", "{self._block_args.kernel_size, 3, 5}"),
            At(
                "EfficientNet.__init__",
                "self._dropout =",
                "{nn.Dropout(self._global_params.dropout_rate), nn.Dropout(0.5)}",
            ),
        ],
    ),
]
