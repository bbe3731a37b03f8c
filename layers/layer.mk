# How a layer is built; each layer's Makefile includes this, and that of a function with libraries of
# its own. SAM runs it with ARTIFACTS_DIR set, in a scratch copy of the folder.
#
# Python's bytecode ships with the source, or every cold start would compile it again. So the
# interpreter that builds must be the one of the function's runtime. `make build` passes both of
# these; what stands here are the template's defaults, for a plain `sam build`.
LAYER_PYTHON ?= python3.13
LAYER_ARCHITECTURE ?= arm64

machine := $(if $(filter arm64,$(LAYER_ARCHITECTURE)),aarch64,x86_64)
# pip takes the wheel of the first that a library has one for: the oldest runs everywhere.
platforms := $(foreach tag,manylinux2014 manylinux_2_17 manylinux_2_28,--platform $(tag)_$(machine))
target ?= $(ARTIFACTS_DIR)/python
deployed ?= /opt

# In turn: the libraries, from wheels for AWS's system library (glibc 2.34, Python 3.11: 2.26); minus
# what pip noted about this installation and scripts that name this machine's Python; our package.
# Then bytecode. Unchecked: SAM's zip files lose the times that Python would compare. A fixed seed
# and one process: the same source gives the same bytes.
define build_layer
	@"$(LAYER_PYTHON)" -c "import pip" 2>/dev/null || { \
	  echo "$(LAYER_PYTHON) with pip is not here; a layer is built with the Python of its runtime." >&2; \
	  echo "Build for the Python of this machine (make build), or install $(LAYER_PYTHON)." >&2; \
	  exit 1; }
	mkdir -p "$(target)"
	"$(LAYER_PYTHON)" -m pip --disable-pip-version-check --quiet install \
	  --require-hashes --no-deps --no-compile --requirement requirements.lock --target "$(target)" \
	  --implementation cp --only-binary :all: $(platforms)
	rm -rf "$(target)/bin" "$(target)"/*.dist-info/RECORD "$(target)"/*.dist-info/INSTALLER \
	  "$(target)"/*.dist-info/REQUESTED
	cp -R $(1) "$(target)/"
	find "$(target)" -name __pycache__ -prune -exec rm -rf {} +
	chmod -R u=rwX,go=rX "$(target)"
	PYTHONHASHSEED=0 "$(LAYER_PYTHON)" -m compileall -q --invalidation-mode unchecked-hash \
	  -s "$(ARTIFACTS_DIR)" -p $(deployed) "$(target)"
endef
