"""The types of input file there are: ending without its dot -> media type."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SUPPORTED_FILE_TYPES: Mapping[str, str] = MappingProxyType(
    {
        # tables
        "csv": "text/csv",
        "tsv": "text/tab-separated-values",
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "xls": "application/vnd.ms-excel",
        "ods": "application/vnd.oasis.opendocument.spreadsheet",
        "parquet": "application/vnd.apache.parquet",
        "feather": "application/vnd.apache.arrow.file",
        "sqlite": "application/vnd.sqlite3",
        "db": "application/vnd.sqlite3",
        # arrays
        "h5": "application/x-hdf5",
        "nc": "application/x-netcdf",
        "npy": "application/x-npy",
        "npz": "application/x-npz",
        # trees
        "json": "application/json",
        "jsonl": "application/jsonl",
        "xml": "application/xml",
        "yaml": "application/yaml",
        "yml": "application/yaml",
        "toml": "application/toml",
        "ini": "text/plain",
        # texts
        "txt": "text/plain",
        "md": "text/markdown",
        "log": "text/plain",
        "html": "text/html",
        "py": "text/x-python",
        # documents
        "pdf": "application/pdf",
        "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        # pictures
        "png": "image/png",
        "jpg": "image/jpeg",
        "jpeg": "image/jpeg",
        "gif": "image/gif",
        "webp": "image/webp",
        # archives
        "zip": "application/zip",
    }
)
