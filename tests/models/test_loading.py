"""What `strict=False` forgives, and what it does not: counted on a 3-D network's weights in a 2-D one."""

from medutils.models.loading import medicalnet_into_resnet


def test_of_a_3d_networks_weights_a_2d_one_takes_no_kernel_however_the_file_is_read() -> None:
    found = medicalnet_into_resnet(depth=50)
    published, taken_out, removed = found.values()
    assert list(found) == ["as published", "state_dict taken out", "prefix removed"]
    for silent in (published, taken_out):  # no name is known, so torch raises nothing and copies nothing
        assert (silent.names, silent.copied, silent.error) == (0, 0, "")
    assert published.given == 1 and taken_out.given == 318
    assert (removed.tensors, removed.names, removed.kernels) == (320, 318, 53)
    assert removed.error.startswith("Error(s) in loading state_dict")  # names are known, shapes are not
    assert removed.copied == removed.shapes == 53 * 5  # batch normalisations alone, copied before the error
    assert all(one.copied_kernels == 0 for one in found.values())
