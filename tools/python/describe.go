package python

import "chorale/harmony"

// fullText is what a model must know of the full interpreter and was not
// trained with. The versions are those of the pinned library.
const fullText = "\n\nThis is Python 3.15 with the standard library and these packages; no others can be installed: " +
	"numpy 2.5, pandas 3.0, matplotlib 3.11, scipy 1.18, scikit-learn 1.9, statsmodels 0.15, sympy 1.14, networkx 3.7, " +
	"seaborn 0.13, pillow 13.0, lxml 6.1, beautifulsoup4 4.15, openpyxl 3.1, xlsxwriter 3.2, pypdf 6.21, reportlab 5.0, pyyaml 6.0, tabulate 0.10. " +
	"numpy, pandas and matplotlib are loaded already, but names such as np and pd must be imported. " +
	"Figures left open are saved to /mnt/data as PNG. " +
	"The interpreter is 32-bit: numpy's default integer is int32 and overflows silently beyond 2147483647, " +
	"so give dtype='int64' (or a float) wherever integers may grow; Python's own int has no limit."

// Namespace returns what a model is told of a runtime and its mounts: the built-in tool, word
// for word as the models were trained with it, and after it what is particular
// to Full. Of Basic there is nothing more to tell: a missing package's error
// says so when it matters.
func Namespace(r Runtime, mounts ...Mount) harmony.Namespace {
	ns := harmony.Python()
	if r == Full {
		ns.Description += fullText
	}
	ns.Description += describe(mounts)
	return ns
}

// Choose returns the runtime that a session will have: Full or Basic. Auto is
// Full where that is prepared in the cache folder (empty: the user's).
func Choose(cache string, r Runtime) Runtime {
	switch {
	case r == Full, r == Basic:
		return r
	case Prepared(cache, Full):
		return Full
	}
	return Basic
}
