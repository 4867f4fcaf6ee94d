"""What hostile programs try, as root and as an ordinary user, with the static check and without."""

import pytest

pytest.register_assert_rewrite(
    *(f"tests.sandbox.escape.{name}" for name in ("canaries", "cases", "people"))
)
