"""The contract as a pure function: page states and an operation in, the answer and new page states out.

Written from the documents (``Documentation/admin-guide/mm/pagemap.rst``, ``userfaultfd.rst``, the manual
page PAGEMAP_SCAN(2const), ``linux/fs.h``), not from watching a kernel. Where they are silent and the code of
Linux is followed instead, a comment says *(code)*. No system calls, no pytest.
"""

from helpers.model.advice import AdviceOnPages
from helpers.model.argument import Argument
from helpers.model.facts import Facts, Refused, Unspecified
from helpers.model.files import Files
from helpers.model.filling import Filling
from helpers.model.mappings import Mappings
from helpers.model.output import Output
from helpers.model.pages import Content, Page, Space
from helpers.model.scan import Scanning
from helpers.model.tracking import TrackingOfWrites
from helpers.model.witnesses import Witnesses

__all__ = ["Argument", "Content", "Facts", "Model", "Output", "Page", "Refused", "Space", "Unspecified"]


class Model(Mappings, TrackingOfWrites, Filling, AdviceOnPages, Files, Witnesses, Scanning):
    """Memory as the documents promise it to be."""
