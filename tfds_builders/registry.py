"""The datasets of this package by name. Apart from `build`, whose import adds flags to the command line."""

import dataclasses
import importlib
import pkgutil
import types
from collections.abc import Sequence

import tensorflow_datasets as tfds

import tfds_builders

_BOOLEANS = {"1": True, "true": True, "0": False, "false": False}


def names() -> list[str]:
    """The datasets that can be built."""
    return sorted(m.name for m in pkgutil.iter_modules(tfds_builders.__path__) if m.ispkg and _is_dataset(m))


def _is_dataset(found: pkgutil.ModuleInfo) -> bool:
    """Whether a package has a builder; pose_transfer is what two datasets share."""
    spec = found.module_finder.find_spec(found.name)
    inside = pkgutil.iter_modules(spec.submodule_search_locations)
    return any(m.name == f"{found.name}_dataset_builder" for m in inside)


def make(name: str, data_dir: str = "", changes: Sequence[str] = ()) -> tfds.core.DatasetBuilder:
    """The builder of "dataset/config", with `changes` ("field=value") to its config.

    Raises:
      ValueError: unknown dataset, config or field, or a value of another type.
    """
    module, config = _find(name)
    if changes:
        config = _changed(config, changes)
    return module.Builder(data_dir=data_dir or None, config=config)


def fields(name: str) -> list[str]:
    """What `changes` may name in "dataset/config".

    Raises:
      ValueError: unknown dataset or config.
    """
    return own_fields(_find(name)[1])


def own_fields(config: tfds.core.BuilderConfig) -> list[str]:
    """Names of the fields that the builder's own config class adds."""
    inherited = {f.name for f in dataclasses.fields(tfds.core.BuilderConfig)}
    return [f.name for f in dataclasses.fields(config) if f.name not in inherited]


def _find(name: str) -> tuple[types.ModuleType, tfds.core.BuilderConfig]:
    dataset, _, config_name = name.partition("/")
    if dataset not in names():
        raise ValueError(f"there is no dataset {dataset!r}; known: {', '.join(names())}")
    module = importlib.import_module(f"tfds_builders.{dataset}.{dataset}_dataset_builder")
    configs = {c.name: c for c in module.Builder.BUILDER_CONFIGS}
    config_name = config_name or module.Builder.BUILDER_CONFIGS[0].name
    if config_name not in configs:
        raise ValueError(f"{dataset} has no config {config_name!r}; it has {', '.join(configs)}")
    return module, configs[config_name]


def _changed(config: tfds.core.BuilderConfig, changes: Sequence[str]) -> tfds.core.BuilderConfig:
    known = own_fields(config)
    values = {}
    for change in changes:
        field, equals, text = change.partition("=")
        if field not in known or not equals:
            raise ValueError(f"--set={change}: use field=value with one of {', '.join(sorted(known))}")
        kind = type(getattr(config, field))
        try:
            values[field] = _BOOLEANS[text.lower()] if kind is bool else kind(text)
        except KeyError as error:
            raise ValueError(f"--set={change}: {field} is true or false") from error
        except (TypeError, ValueError) as error:
            raise ValueError(f"--set={change}: {field} is of type {kind.__name__}") from error
    suffix = "-".join(f"{k}{v}" for k, v in values.items())
    return dataclasses.replace(config, name=f"{config.name}-{suffix}", **values)
