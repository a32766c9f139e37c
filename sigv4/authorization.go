package sigv4

import (
	"net/http"
	"strings"
)

// headerMalformed gives S3's error for an Authorization header that cannot be read.
func headerMalformed(text string) *Error {
	return ErrAuthorizationHeaderMalformed.say("The authorization header is malformed; " + text)
}

// verifyHeader judges a Version 4 signature in the Authorization header.
func (v *Verifier) verifyHeader(r *http.Request, path string, query []parameter) (*Auth, error) {
	c, err := parseAuthorization(r.Header.Get("Authorization"))
	if err != nil {
		return nil, err
	}
	if c.signed, err = signingTime(r.Header); err != nil {
		return nil, err
	}
	var buf [len(timeFormat)]byte
	if day := c.signed.UTC().AppendFormat(buf[:0], dayFormat); string(day) != c.credential.day {
		return nil, headerMalformed(`Invalid credential date "` + c.credential.day + `". This date is not the same as X-Amz-Date: "` + string(day) + `".`)
	}
	if err := checkSkew(v.clock(), c.signed); err != nil {
		return nil, err
	}
	if err := refuseToken(strings.Join(r.Header[headerToken], "")); err != nil {
		return nil, err
	}
	declared, given, err := oneHeader(r.Header, headerContentSHA256)
	if err != nil {
		return nil, err
	}
	if !given {
		return nil, ErrInvalidRequest.say("Missing required header for this request: x-amz-content-sha256")
	}
	c.payload = declared
	// The payload header needs no place among the signed ones, which some clients do not give it: its value is the last line of what is signed.
	if err := checkSigned(r, c.signedHeaders, "x-amz-content-sha256", headerMalformed); err != nil {
		return nil, err
	}
	c.rawPath = path
	if c.path, err = canonicalPath(path); err != nil {
		return nil, err
	}
	c.query = canonicalQuery(query, "")
	return v.verifyClaim(r, c)
}

// parseAuthorization reads "AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...", in any order, with or without the spaces.
func parseAuthorization(header string) (claim, error) {
	_, list, _ := strings.Cut(header, " ")
	fields := map[string]string{"Credential": "", "SignedHeaders": "", "Signature": ""}
	if strings.Count(list, ",") != len(fields)-1 {
		return claim{}, headerMalformed("the authorization header requires three components: Credential, SignedHeaders, and Signature.")
	}
	for component := range strings.SplitSeq(list, ",") {
		component = strings.TrimSpace(component)
		name, value, _ := strings.Cut(component, "=")
		if earlier, known := fields[name]; !known || earlier != "" || value == "" {
			return claim{}, headerMalformed(`the authorization component "` + component + `" is malformed.`)
		}
		fields[name] = value
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if fields[name] == "" {
			return claim{}, headerMalformed("missing " + name + ".")
		}
	}
	cred, err := parseCredential(fields["Credential"], headerMalformed)
	if err != nil {
		return claim{}, err
	}
	return claim{scheme: HeaderV4, credential: cred, signedHeaders: fields["SignedHeaders"], signature: fields["Signature"]}, nil
}
