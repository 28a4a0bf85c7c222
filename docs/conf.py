"""How the documentation is built."""

from vipps_async import __version__

project = "vipps_async"
author = "The vipps_async maintainers"
copyright = "2026, the vipps_async maintainers"  # noqa: A001 - Sphinx' own name
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "vipps_async"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_class_signature = "separated"
napoleon_use_ivar = True
default_role = "code"
myst_heading_anchors = 3
