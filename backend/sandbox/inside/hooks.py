"""Does something to a module right after its import, and costs nothing when it is not imported."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

Hook = Callable[[Any], None]


def install(hooks: Mapping[str, Hook]) -> None:
    """Call each hook with its module: now if it is there already, else when it is imported."""
    for name, hook in hooks.items():
        if name in sys.modules:
            hook(sys.modules[name])
    for finder in sys.meta_path:
        if isinstance(finder, _Finder):
            finder.hooks.update(hooks)
            return
    sys.meta_path.insert(0, _Finder(hooks))


class _Finder:
    """First on the meta path; knows the hooked names only, and leaves the finding to the rest."""

    def __init__(self, hooks: Mapping[str, Hook]) -> None:
        self.hooks = dict(hooks)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        hook = self.hooks.get(name)
        if hook is None:
            return None
        for finder in sys.meta_path:
            if finder is self:
                continue
            spec: Any = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, hook)
                return spec
        return None


class _Loader:
    """The module's own loader, with the hook behind it."""

    def __init__(self, loader: Any, hook: Hook) -> None:
        self._loader = loader
        self._hook = hook

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: Any) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        # The module must not see that it was loaded through here.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        try:
            self._hook(module)
        except Exception as error:
            print(f"{module.__name__} could not be prepared: {error!r}", file=sys.stderr)
