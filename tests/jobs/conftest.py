"""The user's folder of the command line's tests serves here too."""

from tests.cli.conftest import _user_folder, folder  # noqa: F401
