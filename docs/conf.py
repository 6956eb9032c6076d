"""How Sphinx makes the pages: sphinx-build --fail-on-warning docs docs/_build/html."""

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
# The package beside the pages, not one that is installed.
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent)]

project = "jaxscat"
author = "the jaxscat developers"
copyright = author
version = release = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"][
    "version"
]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosectionlabel",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "mathml",
    "docstrings",
    "reference",
    "repository_pages",
    "settings_page",
    "repository_links",
    "link_check",
]
# Quotes are those of code, to be copied.
smartquotes = False
exclude_patterns = ["_build", "_extensions"]

# The pages are read on a forge, too, which has the same marks: $ for formulas, fences for blocks.
myst_enable_extensions = ["dollarmath", "deflist"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4
myst_dmath_double_inline = True

autosectionlabel_prefix_document = True
autosectionlabel_maxdepth = 2

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"
python_use_unqualified_type_names = True
napoleon_use_rtype = False
napoleon_attr_annotations = False
napoleon_custom_sections = [("Attributes", "params_style")]

html_theme = "furo"
html_favicon = "images/icon.png"
html_title = f"jaxscat {version}"
html_static_path = ["_static"]
html_css_files = ["jaxscat.css"]
html_math_renderer = "mathml"
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
highlight_language = "none"
pygments_style = "friendly"
# Prompts and what a command prints are not copied.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
