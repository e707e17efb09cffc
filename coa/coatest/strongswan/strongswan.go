// Package strongswan runs Debian's strongSwan as a VPN gateway, with another strongSwan as
// the endpoint that has a tunnel to it, each in a network namespace of its own.
//
//	charon c0 10.9.0.2 ==veth== g0 10.9.0.1 charon --accounting--> foreign.Box
//	   (IKEv2, ESP in UDP, 10.9.2.0/24)        ^------- changes from the test
//
// The gateway's eap-radius plugin sends accounting and takes changes (its DAE); the two
// prove themselves by a pre-shared key, so that no other server is needed. ESP is done by
// the programs themselves (kernel-libipsec): few kernels of test machines have it.
package strongswan

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"sallyport/coa/coatest/foreign"
)

// Secret is shared with the gateway, for accounting and for changes.
const Secret = "a secret of the strongSwan test"

// UserName is who has the tunnel.
const UserName = "alice@example.com"

// Gateway is a running strongSwan with a tunnel.
type Gateway struct {
	*foreign.Box
	gateway, endpoint *foreign.Running
	swanctl, vici     string
}

// Start runs both until the test ends, and has the endpoint open the tunnel. Where a
// program is missing, or the right to make a network namespace, the test is skipped and
// says so.
func Start(t *testing.T) *Gateway {
	t.Helper()
	programs := foreign.Find(t, foreign.Program{Name: "charon", Package: "strongswan-charon"},
		foreign.Program{Name: "swanctl", Package: "strongswan-swanctl"}, foreign.Program{Name: "ip", Package: "iproute2"},
		foreign.Program{Name: "unshare", Package: "util-linux"}, foreign.Program{Name: "nsenter", Package: "util-linux"})
	const plugins = "/usr/lib/ipsec/plugins/libstrongswan-"
	for plugin, pkg := range map[string]string{"eap-radius": "libcharon-extra-plugins", "kernel-libipsec": "libcharon-extra-plugins", "vici": "strongswan-swanctl"} {
		if _, err := os.Stat(plugins + plugin + ".so"); err != nil {
			t.Skipf("strongSwan has no plugin %s; Debian package %s has it", plugin, pkg)
		}
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skipf("strongSwan cannot do ESP without the kernel's tunnels: %v", err)
	}
	g := &Gateway{Box: foreign.Open(t, Secret), swanctl: programs[1]}
	dir := t.TempDir()
	g.vici = "unix://" + dir + "/gw.vici"
	g.Do("ip", "link", "add", "g0", "type", "veth", "peer", "name", "c0")
	g.Do("ip", "addr", "add", "10.9.0.1/24", "dev", "g0")
	g.Do("ip", "addr", "add", "10.9.1.1/24", "dev", "lo")
	g.Do("ip", "link", "set", "g0", "up")
	g.gateway = g.charon(dir, "gw", "-m", fmt.Sprintf(gatewayPlugins, Secret, Secret))
	g.endpoint = g.charon(dir, "cl", "-mn", "")
	g.Do("ip", "link", "set", "c0", "netns", fmt.Sprint(g.endpoint.PID))
	for _, args := range []string{"link set lo up", "addr add 10.9.0.2/24 dev c0", "link set c0 up"} {
		g.Do("nsenter", append([]string{"-t", fmt.Sprint(g.endpoint.PID), "-n", "ip"}, strings.Fields(args)...)...)
	}
	g.Do(g.swanctl, "--load-all", "--uri", g.vici, "--file", g.File(dir, "gw.swan", gatewayConnection))
	client := "unix://" + dir + "/cl.vici"
	g.Do(g.swanctl, "--load-all", "--uri", client, "--file", g.File(dir, "cl.swan", endpointConnection))
	g.Do(g.swanctl, "--initiate", "--child", "net", "--uri", client, "--timeout", "10")
	return g
}

// charon starts a strongSwan that has a /run of its own, where it keeps its process id.
func (g *Gateway) charon(dir, name, namespaces, more string) *foreign.Running {
	file := g.File(dir, name+".conf", fmt.Sprintf(daemon, dir+"/"+name+".vici", more))
	r := g.Run([]string{"STRONGSWAN_CONF=" + file}, "unshare", namespaces, "sh", "-c", "mount -t tmpfs none /run && exec /usr/lib/ipsec/charon")
	g.Eventually("strongSwan "+name+" runs", func() bool {
		_, err := os.Stat(dir + "/" + name + ".vici")
		return err == nil
	})
	return r
}

// Tunnels is what the gateway shows of the tunnels that it has.
func (g *Gateway) Tunnels() string {
	out := g.Do(g.swanctl, "--list-sas", "--uri", g.vici)
	var shown []string
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "plugin '") { // that swanctl has not
			shown = append(shown, line)
		}
	}
	return strings.Join(shown, "")
}

// Told says whether the endpoint was told that its tunnel ends.
func (g *Gateway) Told() bool {
	return strings.Contains(g.endpoint.Says(), "received DELETE for IKE_SA")
}

// Says is what the gateway has said.
func (g *Gateway) Says() string { return g.gateway.Says() }

const daemon = `charon {
  load = random nonce aes sha1 sha2 md5 hmac gmp kdf drbg kernel-libipsec kernel-netlink socket-default vici eap-radius
  install_routes = no
  plugins {
    vici { socket = unix://%s }
    %s
  }
  filelog { stderr { default = 1 } }
}
`

const gatewayPlugins = `eap-radius {
      accounting = yes
      nas_identifier = vpn-1
      dae {
        enable = yes
        listen = 127.0.0.1
        port = 3799
        secret = "%s"
      }
      servers {
        box {
          address = 127.0.0.1
          secret = "%s"
        }
      }
    }`

const gatewayConnection = `connections {
  gw {
    version = 2
    local_addrs = 10.9.0.1
    pools = tunnels
    encap = yes
    proposals = aes128-sha256-modp2048
    local {
      auth = psk
      id = gw.example
    }
    remote {
      auth = psk
    }
    children {
      net {
        local_ts = 10.9.1.0/24
        esp_proposals = aes128-sha256
      }
    }
  }
}
secrets {
  ike {
    secret = "a pre-shared key"
  }
}
pools {
  tunnels {
    addrs = 10.9.2.0/24
  }
}
`

const endpointConnection = `connections {
  cl {
    version = 2
    local_addrs = 10.9.0.2
    remote_addrs = 10.9.0.1
    vips = 0.0.0.0
    encap = yes
    proposals = aes128-sha256-modp2048
    local {
      auth = psk
      id = ` + UserName + `
    }
    remote {
      auth = psk
      id = gw.example
    }
    children {
      net {
        remote_ts = 10.9.1.0/24
        esp_proposals = aes128-sha256
      }
    }
  }
}
secrets {
  ike {
    secret = "a pre-shared key"
  }
}
`
