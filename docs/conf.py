"""Settings of the site. `make docs` builds it; everything that a page needs is in the page."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "Walras"
author = "The Walras authors"
copyright = "The Walras authors, Apache-2.0"
html_title = "Walras"

extensions = ["myst_nb", "doc_tools.generated_pages"]
exclude_patterns = ["reference/examples", "doc_tools", "_static"]
myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure"]

# Tutorials are run anew at every build, so that their pictures are those of this code.
nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_excludepatterns = ["[!t]*/*"]
nb_merge_streams = True
os.environ["TQDM_DISABLE"] = "1"  # bars of progress would be widgets, which need scripts from elsewhere
nb_output_stderr = "remove"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # no page loads a script from elsewhere

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["walras.css"]
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
highlight_language = "none"  # blocks without a language are commands
html_show_sourcelink = False
html_copy_source = False
