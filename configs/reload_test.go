package configs

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func example(t *testing.T) *Config {
	t.Helper()
	c, err := Load("edge.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Every leaf of the Config is in one of the settings, or a change of it would go unseen.
func TestEverySettingIsSeenByAReload(t *testing.T) {
	var walk func(path string, at func(*Config) reflect.Value)
	walk = func(path string, at func(*Config) reflect.Value) {
		running, next := example(t), example(t)
		v := at(next)
		if v.Kind() == reflect.Struct && v.Type().NumField() > 0 && v.Type().Field(0).IsExported() {
			for i := range v.Type().NumField() {
				walk(path+"."+v.Type().Field(i).Name, func(c *Config) reflect.Value { return at(c).Field(i) })
			}
			return
		}
		if v.Kind() == reflect.Slice {
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		} else if v.IsZero() {
			switch v.Kind() {
			case reflect.String:
				v.SetString("x")
			case reflect.Int64, reflect.Int, reflect.Int8:
				v.SetInt(1)
			case reflect.Struct:
				v.Set(reflect.ValueOf(netip.IPv6Loopback()))
			default:
				t.Fatalf("%s: a %s", path, v.Kind())
			}
		} else {
			v.SetZero()
		}
		if _, changed, stay, _ := running.Follow(next); len(changed)+len(stay) != 1 {
			t.Errorf("%s: changed %v, stay %v", path, changed, stay)
		}
	}
	for i := range reflect.TypeFor[Config]().NumField() {
		if field := reflect.TypeFor[Config]().Field(i); field.IsExported() {
			walk(field.Name, func(c *Config) reflect.Value { return reflect.ValueOf(c).Elem().Field(i) })
		}
	}
}

func TestAReloadFollowsWhatItCanAndNamesTheRest(t *testing.T) {
	running, next := example(t), example(t)
	next.Transfer.Timeout = 20 * time.Second
	next.Limits.Calls = 7
	next.Media.Ports.Last = 15999
	next.Node = "another"
	followed, changed, stay, err := running.Follow(next)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(changed, []string{"transfer", "limits.calls"}) || !slices.Equal(stay, []string{"node", "media.ports"}) {
		t.Errorf("changed %v, stay %v", changed, stay)
	}
	if followed.Limits.Calls != 7 || followed.Media.Ports.Last != 19999 || followed.Node != "edge-1" || running.Limits.Calls != 1000 {
		t.Errorf("followed %+v", followed)
	}
}

func TestAReloadThatMakesNoConfigurationIsRefused(t *testing.T) {
	running, next := example(t), example(t)
	next.Transfer.Total = time.Second
	if _, _, _, err := running.Follow(next); err == nil || !strings.Contains(err.Error(), "transfer.total") {
		t.Errorf("got %v", err)
	}
}
