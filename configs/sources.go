package configs

import (
	"net/netip"
	"slices"
)

// twilioSources are the ranges that Twilio publishes for its SIP signalling
// (https://www.twilio.com/docs/sip-trunking/ip-addresses), all regions.
func twilioSources() []netip.Prefix {
	return prefixes(
		"54.172.60.0/30",    // North America, Virginia
		"54.244.51.0/30",    // North America, Oregon
		"54.171.127.192/30", // Europe, Ireland
		"35.156.191.128/30", // Europe, Frankfurt
		"54.65.63.192/30",   // Asia Pacific, Tokyo
		"54.169.127.128/30", // Asia Pacific, Singapore
		"54.252.254.64/30",  // Asia Pacific, Sydney
		"177.71.206.192/30", // South America, São Paulo
	)
}

// SourcesDefault tells that nobody has said who may speak for Watson: IBM's published addresses may, and
// those that the targets resolve to.
func (w Watson) SourcesDefault() bool { return slices.Equal(w.Sources, watsonSources()) }

// watsonSources are the addresses that IBM publishes for the phone integration, three zones a region.
func watsonSources() []netip.Prefix {
	return prefixes(
		"67.228.108.82/32", "169.63.5.162/32", "150.239.30.146/32", // Dallas
		"52.116.100.158/32", "169.61.70.162/32", "169.59.136.194/32", // Washington
		"161.156.178.162/32", "169.50.56.146/32", "149.81.86.82/32", // Frankfurt
		"158.176.120.162/32", "141.125.102.34/32", "158.175.99.34/32", // London
		"168.1.47.2/32", "135.90.86.50/32", "168.1.106.130/32", // Sydney
		"165.192.69.82/32", "128.168.105.178/32", "161.202.149.162/32", // Tokyo
	)
}

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		all[i] = netip.MustParsePrefix(t)
	}
	return all
}
