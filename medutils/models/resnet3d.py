"""A ResNet-152 for volumes: torchvision's, with every layer inflated to three dimensions."""

import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

from medutils.models.weights import tensors, weights_manifest


class ResNet152Volume(ResNet):
    """Volumes (n, 3, depth, height, width) between 0 and 1 to feature maps (n, 2048, depth, height, width).

    Height and width become 1/32, depth 1/16. The layout is that of Merlin's image encoder: the first convolution is
    3 x 7 x 7 and leaves the depth as it is, the second of every bottleneck 3 x 3 x 3, and strides go along all axes.
    """

    def __init__(self) -> None:
        super().__init__(Bottleneck, [3, 8, 36, 3])
        del self.avgpool, self.fc
        _inflate(self)
        self.conv1.stride = (1, 2, 2)

    def forward(self, volumes: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(volumes))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def _inflate(module: nn.Module) -> None:
    """Put the layer of three dimensions in the place of each of two."""
    for name, part in module.named_children():
        if isinstance(part, nn.Conv2d):
            across, stride, padding = part.kernel_size[0], part.stride[0], part.padding[0]
            deep = min(across, 3)
            setattr(
                module,
                name,
                nn.Conv3d(
                    part.in_channels,
                    part.out_channels,
                    (deep, across, across),
                    stride,
                    (deep // 2, int(padding), int(padding)),
                    bias=False,
                ),
            )
        elif isinstance(part, nn.BatchNorm2d):
            setattr(module, name, nn.BatchNorm3d(part.num_features))
        elif isinstance(part, nn.MaxPool2d):
            setattr(module, name, nn.MaxPool3d(part.kernel_size, part.stride, part.padding))
        else:
            _inflate(part)


def medical_resnet() -> ResNet152Volume:
    """The network with the weights of the manifest `astra_resnet152_3d`, in evaluation mode.

    Learned on CT: on other scans, MRI among them, what its features are worth is a question to measure. A process
    that loads it takes 1.6 GB. Raises `InputError` when the packages are not installed or their file is another one.
    """
    with torch.device("meta"):  # no memory and no random numbers for what is replaced at once
        network = ResNet152Volume()
    network.load_state_dict(tensors(weights_manifest("astra_resnet152_3d")), assign=True)
    return network.eval()
