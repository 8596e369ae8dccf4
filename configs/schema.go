package configs

import "time"

// schema is the file's form: every key that may be written and where its value goes. Relative
// file names count from dir.
func schema(c *Config, dir string) fields {
	srtp := vocabulary([]SRTP{SRTPRequired, SRTPOptional, SRTPOff})
	learn := vocabulary([]MediaLearn{MediaLearnOff, MediaLearnWindow})
	return fields{
		"node": one(&c.Node, word),
		"sip": section(fields{
			"public": one(&c.SIP.Public, hostOrIP),
			"listen": many(&c.SIP.Listen, listener),
			"tls": section(fields{
				"certificate": one(&c.SIP.TLS.Certificate, file(dir)),
				"key":         one(&c.SIP.TLS.Key, file(dir)),
				"key_log":     one(&c.SIP.KeyLog, file(dir)),
			}),
			"keepalive": section(fields{
				"ping":    one(&c.SIP.Keepalive.Ping, lasting(0, time.Hour)),
				"options": one(&c.SIP.Keepalive.Options, lasting(0, time.Hour)),
			}),
			"timeouts": section(fields{
				"dial":      one(&c.SIP.Timeouts.Dial, lasting(100*time.Millisecond, time.Minute)),
				"handshake": one(&c.SIP.Timeouts.Handshake, lasting(100*time.Millisecond, time.Minute)),
				"message":   one(&c.SIP.Timeouts.Message, lasting(time.Second, 10*time.Minute)),
				"idle":      one(&c.SIP.Timeouts.Idle, lasting(time.Minute, 7*24*time.Hour)),
			}),
		}),
		"twilio": section(fields{
			"sources":         many(&c.Twilio.Sources, prefix),
			"leg":             one(&c.Twilio.Leg, vocabulary([]LegKind{LegAuto, LegPV, LegTrunk})),
			"reference_names": many(&c.Twilio.ReferenceNames, hostName),
			"media_learn":     one(&c.Twilio.MediaLearn, learn),
			"srtp":            one(&c.Twilio.SRTP, srtp),
			"refer": section(fields{
				"max_refer_to": one(&c.Twilio.Refer.MaxReferTo, between(64, 4096)),
				"header":       one(&c.Twilio.Refer.Header, vocabulary([]KeyHeader{KeyHeaderXWatson, KeyHeaderUserToUser})),
			}),
			"tls": section(fields{
				"ca_file": one(&c.Twilio.CAFile, file(dir)),
			}),
			"rest": section(fields{
				"account_sid":     one(&c.Twilio.REST.AccountSID, sid("AC")),
				"api_key":         one(&c.Twilio.REST.APIKey, sid("SK")),
				"auth_token_file": one(&c.Twilio.REST.AuthTokenFile, file(dir)),
				"base_url":        one(&c.Twilio.REST.BaseURL, webURL),
				"twiml":           one(&c.Twilio.REST.TwiML, vocabulary([]TwiML{TwiMLRedirect, TwiMLEnqueue})),
				"studio_url":      one(&c.Twilio.REST.StudioURL, webURL),
				"workflow_sid":    one(&c.Twilio.REST.WorkflowSID, sid("WW")),
				"ca_file":         one(&c.Twilio.REST.CAFile, file(dir)),
			}),
			"sip_domain": section(fields{
				"uri":           one(&c.Twilio.SIPDomain.URI, domain),
				"username":      one(&c.Twilio.SIPDomain.Username, word),
				"password_file": one(&c.Twilio.SIPDomain.PasswordFile, file(dir)),
				"realm":         one(&c.Twilio.SIPDomain.Realm, word),
				"caller":        caller(&c.Twilio.SIPDomain.Caller),
			}),
		}),
		"watson": section(fields{
			"targets":        many(&c.Watson.Targets, target),
			"redirect_hosts": manyOrDefault(&c.Watson.RedirectHosts, hostOrIP),
			"sources":        manyOrDefault(&c.Watson.Sources, prefix),
			"media_learn":    one(&c.Watson.MediaLearn, learn),
			"number":         one(&c.Watson.Number, number),
			"tls": section(fields{
				"ca_file":     one(&c.Watson.CAFile, file(dir)),
				"server_name": one(&c.Watson.ServerName, hostName),
				"certificate": one(&c.Watson.TLS.Certificate, file(dir)),
				"key":         one(&c.Watson.TLS.Key, file(dir)),
			}),
			"srtp": one(&c.Watson.SRTP, srtp),
			"auth": section(fields{
				"username":      one(&c.Watson.Auth.Username, word),
				"password_file": one(&c.Watson.Auth.PasswordFile, file(dir)),
				"realm":         one(&c.Watson.Auth.Realm, word),
			}),
			"session_expires": one(&c.Watson.SessionExpires, offOr(lasting(90*time.Second, 24*time.Hour))),
			"health": section(fields{
				"options_every": one(&c.Watson.Health.OptionsEvery, lasting(0, time.Hour)),
			}),
			"headers": many(&c.Watson.Headers, crossing),
			"caller":  caller(&c.Watson.Caller),
		}),
		"transfer": section(fields{
			"intercept":     many(&c.Transfer.Intercept, pattern),
			"methods":       many(&c.Transfer.Methods, method),
			"timeout":       one(&c.Transfer.Timeout, lasting(time.Second, 10*time.Minute)),
			"total":         one(&c.Transfer.Total, lasting(time.Second, 30*time.Minute)),
			"hold_audio":    one(&c.Transfer.HoldAudio, optional(file(dir))),
			"failure_audio": one(&c.Transfer.FailureAudio, optional(file(dir))),
			"after_silence": one(&c.Transfer.AfterSilence, vocabulary([]AfterSilence{AfterSilenceStop, AfterSilenceNext})),
			"unmatched":     one(&c.Transfer.Unmatched, vocabulary([]Unmatched{UnmatchedRefuse, UnmatchedPass})),
			"hangup_header": one(&c.Transfer.HangupHeader, optional(headerName)),
		}),
		"media": section(fields{
			"listen":      one(&c.Media.Listen, address),
			"public_ip":   one(&c.Media.PublicIP, publicAddress),
			"listen_ipv6": one(&c.Media.ListenIPv6, address),
			"public_ipv6": one(&c.Media.PublicIPv6, publicAddress),
			"ports":       one(&c.Media.Ports, ports),
			"path":        one(&c.Media.Path, vocabulary([]MediaPath{MediaPathAuto, MediaPathKernel, MediaPathUserspace, MediaPathPortable})),
			"hook":        one(&c.Media.Hook, vocabulary([]MediaHook{MediaHookTC, MediaHookXDP})),
			"pins":        one(&c.Media.Pins, optional(file(dir))),
			"srtp_keys":   one(&c.Media.SRTPKeys, vocabulary([]SRTPKeys{SRTPKeysPass, SRTPKeysTerminate})),
			"rest":        one(&c.Media.Rest, lasting(0, 10*time.Minute)),
			"timeout":     one(&c.Media.Timeout, lasting(0, time.Hour)),
		}),
		"ops": section(fields{
			"listen":     one(&c.Ops.Listen, addrPort),
			"token_file": one(&c.Ops.TokenFile, file(dir)),
			"core_dumps": one(&c.Ops.CoreDumps, vocabulary([]CoreDumps{CoreDumpsOff, CoreDumpsOn})),
		}),
		"limits": section(fields{
			"calls":              one(&c.Limits.Calls, between(1, 100_000)),
			"invites_per_second": one(&c.Limits.InvitesPerSecond, between(1, 10_000)),
			"per_source":         one(&c.Limits.PerSource, between(1, 10_000)),
			"duration":           one(&c.Limits.Duration, lasting(0, 7*24*time.Hour)),

			"connections":            one(&c.Limits.Connections, between(1, 65_535)),
			"connections_per_source": one(&c.Limits.ConnectionsPerSource, between(1, 65_535)),

			"message_bytes": one(&c.Limits.MessageBytes, between(4096, 65_535)),
			"header_lines":  one(&c.Limits.HeaderLines, between(32, 256)),
			"body_bytes":    one(&c.Limits.BodyBytes, between(1024, 65_535)),
			"sdp_bytes":     one(&c.Limits.SDPBytes, between(1024, 16<<10)),
		}),
		"log": section(fields{
			"level":  one(&c.Log.Level, level),
			"format": one(&c.Log.Format, vocabulary([]LogFormat{LogJSON, LogConsole})),
		}),
		"journal": section(fields{
			"kind": one(&c.Journal.Kind, vocabulary([]JournalKind{JournalBolt, JournalMemory})),
			"path": one(&c.Journal.Path, file(dir)),
		}),
		"cdr": section(fields{
			"kind":          one(&c.CDR.Kind, vocabulary([]CDRKind{CDRFile, CDRStdout, CDROff})),
			"path":          one(&c.CDR.Path, file(dir)),
			"max_megabytes": one(&c.CDR.MaxMegabytes, between(1, 1_000_000)),
			"keep":          one(&c.CDR.Keep, between(1, 1000)),
		}),
		"telemetry": section(fields{
			"otlp": section(fields{
				"endpoint":     one(&c.Telemetry.OTLP.Endpoint, collectorURL),
				"headers_file": one(&c.Telemetry.OTLP.HeadersFile, file(dir)),
				"ca_file":      one(&c.Telemetry.OTLP.CAFile, file(dir)),
			}),
		}),
		"trace": section(fields{
			"calls":          one(&c.Trace.Calls, between(0, 10_000)),
			"bytes_per_call": one(&c.Trace.BytesPerCall, between(16<<10, 4<<20)),
			"hep": section(fields{
				"server":        one(&c.Trace.HEP.Server, collector),
				"id":            one(&c.Trace.HEP.ID, agentID),
				"password_file": one(&c.Trace.HEP.PasswordFile, file(dir)),
				"ca_file":       one(&c.Trace.HEP.CAFile, file(dir)),
			}),
		}),
		"webhooks": section(fields{
			"listen":          one(&c.Webhooks.Listen, addrPort),
			"public_url":      one(&c.Webhooks.PublicURL, webURL),
			"auth_token_file": one(&c.Webhooks.AuthTokenFile, file(dir)),
			"studio_url":      one(&c.Webhooks.StudioURL, webURL),
			"workflow_sid":    one(&c.Webhooks.WorkflowSID, sid("WW")),
			"tls": section(fields{
				"certificate": one(&c.Webhooks.TLS.Certificate, file(dir)),
				"key":         one(&c.Webhooks.TLS.Key, file(dir)),
			}),
		}),
	}
}

// caller is what a callee learns of who calls.
func caller(c *Caller) field {
	return section(fields{
		"number":  one(&c.Number, callerNumber),
		"name":    one(&c.Name, vocabulary([]CallerName{CallerNamePass, CallerNameHide})),
		"privacy": one(&c.Privacy, vocabulary([]Privacy{PrivacyRespect, PrivacyIgnore})),
	})
}
