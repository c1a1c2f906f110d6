"""What the package offers by name is there, with its use in the docstring."""

import pytest

import swatchbook
from swatchbook import audit


@pytest.mark.parametrize("name", swatchbook.__all__)
def test_every_public_name_of_the_package_is_there(name):
    assert getattr(swatchbook, name) is not None


@pytest.mark.parametrize("name", audit.__all__)
def test_every_step_of_an_audit_is_there(name):
    assert callable(getattr(audit, name))


@pytest.mark.parametrize("name", ["label_folder", "predict_folder", "index_folder", "search_folder"])
def test_public_functions_show_their_use(name):
    function = getattr(swatchbook, name)
    assert f">>> {'found' if name == 'search_folder' else 'images, broken'} = {name}(" in function.__doc__


@pytest.mark.parametrize("package", [swatchbook, audit])
def test_a_name_that_is_not_there_is_named(package):
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'labl_folder'"):
        package.labl_folder  # noqa: B018
