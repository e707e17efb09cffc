# make demo   the reference story on loopback, needs only Go; KEEP=1 leaves it running
# make test   everything, with the real peers that Debian has (see .ci/deps)
# make lint   gofmt, vet for every system, the house rules
# make test-usb  the agent on Debian's kernel in QEMU: sticks, hubs, a keyboard; needs apt-get
# make test-portal  the portal walked by Chromium; screenshots in testdata-cache/portal
# make packages  .deb and .rpm of agent and appliance, into dist/
# make test-packages  both kinds installed, upgraded and removed on a copy of this machine; needs root
# make sim    the appliance among NASes, agents, disks and clocks that misbehave by a seed; SEEDS=n
# make reloads  RELOADS reloads under packets: memory, goroutines and descriptors stay flat
# make crash  the program under load, killed KILLS times, stopped, and on a full disk
# make fuzz   every fuzz target for FUZZTIME each
# make bench  the Go benchmarks
# make bench-policy   an assessment, a decision, a reload of a large site, each held against its target
# make bench-compare  this appliance, its peers and our bare reactor in turn on one core; OUT=DIR keeps the results
# make bench-sessions   memory, collection and recovery of one and of five million sessions, see bench/table
# make bench-wait     memory of 20,000 agents that wait for news, see bench/wait
# make bench-coa      a hundred thousand changes of authorization, see bench/push

GO       ?= go
FUZZTIME ?= 60s
SEEDS    ?= 300
KILLS    ?= 20
RELOADS  ?= 10000
PKGS      = ./...
VERSION  ?= $(shell git describe --always --dirty 2>/dev/null || echo unknown)
LDFLAGS   = -s -w -X main.version=$(VERSION)
export CGO_ENABLED = 0

.PHONY: all build demo test test-go test-race test-fuzz test-usb test-usb-quick test-portal test-packages lint fuzz bench bench-policy bench-compare bench-coa bench-sessions bench-wait deps clean packages sim crash reloads

all: build

build:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

demo: build
	./bin/sallyport demo $(if $(KEEP),--keep)

deps:
	./.ci/deps

# The whole suite comes last: it ends with the count, and names every skip with its reason.
test: deps lint test-fuzz sim test-usb-quick test-packages test-race test-go

test-go:
	$(GO) tool gotestsum --format pkgname-and-test-fails --format-hide-empty-pkg -- -count=1 -timeout 15m $(PKGS)

# The race detector needs cgo; where no C compiler is, that is said and not hidden.
test-race:
	./.ci/race

# Some thousand inputs for each target: enough to see that none is broken. Not a time: go test
# fails now and then when that ends while an input is being tried. See fuzz.
test-fuzz:
	FUZZTIME=5000x ./.ci/fuzz

test-usb:
	GO='$(GO)' ./.ci/usb

# Five cycles, without strict mode and the reboot; a minute and a half.
test-usb-quick:
	GO='$(GO)' ./.ci/usb quick

test-portal: deps
	$(GO) test -v -count=1 ./cmd/portaltest

test-packages:
	GO='$(GO)' ./.ci/packages

lint:
	./.ci/lint

# In the package's directory, where go test shows what a test that passes says.
sim:
	cd engine && $(GO) test -count=1 -timeout 24h -run 'TestSimulation$$|TestSeedsThatFailed|TestBrokenRulesAreNoticed' -seeds $(SEEDS)

reloads:
	cd engine && $(GO) test -count=1 -timeout 4h -v -run 'TestReloadsLeaveNothingBehind|TestNoPacketIsJudgedByHalfAPolicy' -reloads $(RELOADS)

crash:
	cd cmd/sallyport/endtoend && $(GO) test -count=1 -timeout 1h -run 'TestNothingIsLost|TestAFullDisk' -kills $(KILLS) -figures

fuzz:
	FUZZTIME=$(FUZZTIME) ./.ci/fuzz

bench:
	$(GO) test -run '^$$' -bench . -benchmem $(PKGS)

bench-policy:
	$(GO) run ./bench/policy

bench-compare: build
	./bin/sallyport-bench compare --peer all $(if $(OUT),--out $(OUT))

bench-sessions:
	$(GO) run ./bench/table

bench-wait: build
	$(GO) run ./bench/wait

# 100,000 pushes on one CPU, and a sender built on another library in turn.
bench-coa: build
	$(GO) build -o bin/push ./bench/push && ./bin/push

# A version that packages understand: the tag or commit after 0.
NFPM            = github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0
PACKAGE_VERSION = $(if $(filter v%,$(VERSION)),$(VERSION:v%=%),0.0.0~git$(shell git rev-list --count HEAD).$(shell git rev-parse --short HEAD))
packages: build
	mkdir -p dist
	for p in agent appliance; do for kind in deb rpm; do \
		ARCH=$(shell $(GO) env GOARCH) PACKAGE_VERSION=$(PACKAGE_VERSION) $(GO) run $(NFPM) package --config ops/deploy/packages/$$p.yaml --packager $$kind --target dist/ || exit 1; \
	done; done

clean:
	rm -rf bin dist
