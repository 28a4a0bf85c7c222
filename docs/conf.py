"""How the documentation is built."""

import sys
from pathlib import Path

from vipps_async import __version__

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "vipps_async"
author = "The vipps_async maintainers"
copyright = "2026, the vipps_async maintainers"  # noqa: A001 - Sphinx' own name
release = version = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "complete_reference",
    "error_catalogue",
    "search_words",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "vipps_async"
html_static_path = ["_static"]
html_js_files = ["accessible.js"]
html_css_files = ["site.css"]
autodoc_member_order = "bysource"
#: What results have of the classes that they are made after is theirs; what Python's own classes have is not.
_NOT_OURS = ("object", "BaseException", "Exception", "ValueError", "Enum", "str", "int", "tuple", "Protocol", "Generic")
autodoc_default_options = {"members": True, "inherited-members": ", ".join(_NOT_OURS)}
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_class_signature = "separated"
napoleon_use_ivar = True
default_role = "code"
myst_heading_anchors = 3
