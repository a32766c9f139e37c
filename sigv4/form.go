package sigv4

import (
	"context"
	"crypto/hmac"
	"encoding/hex"
	"strings"
	"time"
)

// VerifyForm judges who signed a browser form, by the fields that came before its file. A form with any trace of credentials, a policy among
// them, is verified or refused; one without is anonymous and has no policy (nil). What a policy allows is for its Check to say.
//
// The Auth is good for Body, whose payload is the file: a form signs its policy and never its file.
func (v *Verifier) VerifyForm(ctx context.Context, fields []FormField) (*Auth, *PostPolicy, error) {
	form := make(map[string]string, len(fields))
	for _, f := range fields {
		name := strings.ToLower(f.Name)
		if _, twice := form[name]; twice && !strings.HasPrefix(name, "x-ignore-") {
			// The condition could hold for one and the upload be made with the other.
			return nil, nil, ErrInvalidArgument.say("A form field was given more than once").with("ArgumentName", f.Name)
		}
		form[name] = f.Value
	}
	v4, v2 := traces(form, "x-amz-algorithm", "x-amz-credential", "x-amz-signature"), traces(form, "awsaccesskeyid", "signature")
	var auth *Auth
	var err error
	switch {
	case v4 && v2:
		return nil, nil, errTwoFormMechanisms
	case v4:
		auth, err = v.verifyFormV4(ctx, form)
	case v2:
		auth, err = v.verifyFormV2(ctx, form)
	case traces(form, "policy", "x-amz-security-token"):
		return nil, nil, ErrAccessDenied // a policy that nobody signed
	default:
		return &Auth{scheme: Anonymous}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	// Only now: what is not signed is not worth reading.
	policy, err := ParsePostPolicy(form["policy"])
	if err != nil {
		return nil, nil, err
	}
	return auth, policy, nil
}

var errTwoFormMechanisms = ErrInvalidArgument.say("Only one auth mechanism allowed").with("ArgumentName", "X-Amz-Algorithm")

func traces(form map[string]string, names ...string) bool {
	for _, name := range names {
		if _, given := form[name]; given {
			return true
		}
	}
	return false
}

// needFields refuses a form that lacks one of these fields, named as S3 names them.
func needFields(form map[string]string, names ...string) error {
	for _, name := range names {
		if form[strings.ToLower(name)] == "" {
			return MissingFormField(name)
		}
	}
	return nil
}

// MissingFormField is S3's answer to a form without a field that must come before its file.
func MissingFormField(name string) error {
	return ErrInvalidArgument.say("Bucket POST must contain a field named '"+name+"'.  If it is specified, please check the order of the fields.").
		with("ArgumentName", name).with("ArgumentValue", "")
}

// verifyFormV4 judges x-amz-signature: the hex HMAC-SHA256 of the policy field as it was sent, under the signing key of Version 4.
func (v *Verifier) verifyFormV4(ctx context.Context, form map[string]string) (*Auth, error) {
	if err := needFields(form, "X-Amz-Signature", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "Policy"); err != nil {
		return nil, err
	}
	if form["x-amz-algorithm"] != algorithmV4 {
		return nil, formArgument(`X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"`, "X-Amz-Algorithm", form["x-amz-algorithm"])
	}
	c, err := parseCredential(form["x-amz-credential"], func(text string) *Error {
		return formArgument(text, "X-Amz-Credential", form["x-amz-credential"])
	})
	if err != nil {
		return nil, err
	}
	// The date is that of the signing key and binds nothing else: how long a form is good is for its policy to say.
	if _, err := time.Parse(timeFormat, form["x-amz-date"]); err != nil {
		return nil, formArgument("X-Amz-Date must be formated via ISO8601 Long format", "X-Amz-Date", form["x-amz-date"])
	}
	if err := refuseToken(form["x-amz-security-token"]); err != nil {
		return nil, err
	}
	secret, err := v.secret(ctx, c.accessKeyID)
	if err != nil {
		return nil, err
	}
	key, remember := v.keys.signingKey(secret, c)
	want := hex.EncodeToString(hmacSHA256(key.signingKey[:], form["policy"]))
	if !hmac.Equal([]byte(want), []byte(form["x-amz-signature"])) {
		return nil, mismatch(c.accessKeyID, form["policy"], form["x-amz-signature"], "", nil)
	}
	remember()
	return &Auth{scheme: FormV4, accessKeyID: c.accessKeyID}, nil
}

func formArgument(text, name, value string) *Error {
	return ErrInvalidArgument.say(text).with("ArgumentName", name).with("ArgumentValue", value)
}

// verifyFormV2 judges signature: the base64 HMAC-SHA1 of the policy field as it was sent, under the secret itself.
func (v *Verifier) verifyFormV2(ctx context.Context, form map[string]string) (*Auth, error) {
	if err := needFields(form, "Signature", "AWSAccessKeyId", "Policy"); err != nil {
		return nil, err
	}
	if err := refuseToken(form["x-amz-security-token"]); err != nil {
		return nil, err
	}
	accessKeyID := form["awsaccesskeyid"]
	secret, err := v.secret(ctx, accessKeyID)
	if err != nil {
		return nil, err
	}
	if !equalV2(secret, form["policy"], form["signature"]) {
		return nil, mismatch(accessKeyID, form["policy"], form["signature"], "", nil)
	}
	return &Auth{scheme: FormV2, accessKeyID: accessKeyID}, nil
}

// BodyError puts what stopped a request's body into S3's terms, for whoever reads a body by another road than Auth.Body.
func BodyError(err error) error { return bodyError(err) }
