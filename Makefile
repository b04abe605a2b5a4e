# Thin: build.py knows how. `make help` lists what there is.

PREFIX  ?= /usr/local
DESTDIR ?=
PYTHON  ?= python3

BUILD = $(PYTHON) ./build.py $(if $(TARGET),--target $(TARGET)) $(if $(PROFILE),--profile $(PROFILE))

.PHONY: all demo test check bench soak pair package clean help install uninstall

all:
	@$(BUILD)

demo test check bench soak pair package clean:
	@$(BUILD) $@

install uninstall:
	@$(BUILD) $@ --prefix '$(PREFIX)' --destdir '$(DESTDIR)'

help:
	@$(BUILD) --help
	@echo 'variables: PREFIX DESTDIR TARGET PROFILE'
