package configs

import "embed"

// vendors are the files that a customer pastes into Twilio and Watson, as templates of text/template
// with << and >>, because {{ and }} are Studio's own.
//
//go:embed twilio watson
var vendors embed.FS

// Vendor returns one of them: "twilio/studio-flow.json".
func Vendor(name string) (string, error) {
	data, err := vendors.ReadFile(name)
	return string(data), err
}
