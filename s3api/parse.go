package s3api

import (
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Call is one understood request: what is asked for, with everything that has a meaning and nothing else.
type Call struct {
	Op Operation
	// Bucket is "" for service operations.
	Bucket string
	// Key is the raw key: percent-decoded once, never cleaned. "" for bucket and service operations.
	Key string
	// Query holds the parameters that the operation knows, each of them once. Those of the signature, x-id and what S3 ignores are gone.
	Query Query
	// Header is the request's, with x-amz-* parameters of the query added: S3 takes them for headers, and presigning SDKs put headers there.
	Header http.Header
	// RawPath is the path as sent, for the Resource element of errors.
	RawPath string
}

// PartNumber gives the partNumber parameter, 1 to 10000; 0 when there is none. Parse has refused everything else.
func (c Call) PartNumber() int {
	n, _ := strconv.Atoi(c.Query.Get("partNumber"))
	return n
}

// Parse understands a request or refuses it; the error is an *Error. It looks at the request line as it was sent and never at r.URL, whose
// path and query have been through a parser with other rules. It neither verifies the signature nor reads the body. The Call carries RawPath
// even with an error.
func Parse(r *http.Request, hosts Hosts) (Call, error) {
	c, err := parse(r, hosts)
	if err != nil {
		return c, err
	}
	return c, nil
}

func parse(r *http.Request, hosts Hosts) (Call, *Error) {
	t, err := splitTarget(r.RequestURI, hosts.Bucket(r.Host))
	c := Call{RawPath: t.rawPath, Header: r.Header}
	if err != nil {
		return c, err
	}
	c.Bucket, c.Key = t.bucket, t.key
	if r.Method == http.MethodOptions {
		// A preflight carries the address of the request it asks for, whose query means nothing here.
		c.Op = CORSPreflight
		return c, nil
	}
	if t.rawPath == "*" {
		return c, ErrInvalidURI // the form of OPTIONS alone (RFC 9112 section 3.2.4)
	}
	query, queryErr := ParseQuery(t.rawQuery)
	if queryErr != nil {
		return c, ErrInvalidURI
	}
	hint := query.Get("x-id")
	if c.Query, c.Header, err = separate(query, r.Header); err != nil {
		return c, err
	}
	rt, err := c.route(r.Method, t.level, hint)
	if err != nil {
		return c, err
	}
	c.Op = rt.op
	return c, c.check(rt)
}

// separate takes the parameters of signatures and x-id out of a query and moves x-amz-* ones to the headers.
func separate(q Query, h http.Header) (Query, http.Header, *Error) {
	moved := false
	for name, value := range q.All() {
		if !isHeaderParam(name) {
			continue
		}
		if !moved {
			h, moved = h.Clone(), true
			if h == nil {
				h = http.Header{}
			}
		}
		if !validHeader(name, value) {
			return q, h, invalidArgument("The value of a header in the query string is invalid.", name, value)
		}
		if sent := h.Values(name); len(sent) > 0 && (len(sent) > 1 || sent[0] != value) {
			return q, h, invalidArgument("A header was given in the query string and again with another value.", name, value)
		}
		h.Set(name, value)
	}
	q.keep(func(p param) bool { return !isSignatureParam(p.name) && !isHeaderParam(p.name) && p.name != "x-id" })
	return q, h, nil
}

// isSignatureParam says whether a parameter belongs to a signature in the query string, of version 4 or 2.
func isSignatureParam(name string) bool {
	switch name {
	case "AWSAccessKeyId", "Signature", "Expires":
		return true
	}
	switch strings.ToLower(name) {
	case "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signedheaders", "x-amz-signature",
		"x-amz-security-token", "x-amz-content-sha256":
		return true
	}
	return false
}

func isHeaderParam(name string) bool {
	return len(name) > len("x-amz-") && strings.EqualFold(name[:len("x-amz-")], "x-amz-") && !isSignatureParam(name)
}

// validHeader keeps line breaks and the like out of headers: percent-decoding can give any byte.
func validHeader(name, value string) bool {
	for i := range len(name) {
		if c := name[i]; !unreserved(c) {
			return false
		}
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// route finds the line of the allow-list that a request matches.
func (c *Call) route(method string, l level, hint string) (route, *Error) {
	selector, err := c.selector(l)
	if err != nil {
		return route{}, err
	}
	if l == service && selector == "" && hint == "ListDirectoryBuckets" {
		selector = "max-directory-buckets" // has the same address as ListBuckets; some SDKs say which one they mean
	}
	if l == bucket && method == http.MethodPost && c.Bucket == "WriteGetObjectResponse" && c.Header.Get("X-Amz-Request-Route") != "" {
		return route{op: WriteGetObjectResponse, level: bucket}, nil
	}
	copies := len(c.Header.Values("X-Amz-Copy-Source")) > 0
	if l == object && method == http.MethodGet && selector == "uploads" {
		return route{}, ErrInvalidRequest.With("Key is not expected for the GET method ?uploads subresource")
	}
	if l == object && method == http.MethodGet && c.Query.Has("versions") {
		return route{}, ErrInvalidRequest.With("There is no such thing as the ?versions sub-resource for a key")
	}
	for _, rt := range routes {
		if rt.method == method && rt.level == l && rt.selector == selector && (rt.needs == "" || c.Query.Has(rt.needs)) && (!rt.copies || copies) {
			if copies && !rt.copies {
				return route{}, invalidArgument("You can only specify a copy source header for copy requests.", "x-amz-copy-source", c.Header.Get("X-Amz-Copy-Source"))
			}
			return rt, nil
		}
	}
	if l == service && method == http.MethodPost {
		return route{}, ErrNotImplemented.With("STS, IAM and SNS requests are not implemented.")
	}
	resource := l.resourceType()
	if selector != "" {
		resource = strings.ToUpper(selector)
	}
	return route{}, ErrMethodNotAllowed.Field("Method", method).Field("ResourceType", resource).WithHeader("Allow", methodsOf(l, selector))
}

// selector finds the one parameter that says which operation is meant; "" for none. Two are refused with AWS's words.
func (c *Call) selector(l level) (string, *Error) {
	var found []string
	for name := range c.Query.All() {
		if selectors[l][name] && !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	if len(found) > 1 {
		slices.Sort(found)
		return "", invalidArgument("Conflicting query string parameters: "+strings.Join(found, ", "), "ResourceType", found[0])
	}
	if len(found) == 0 {
		return "", nil
	}
	return found[0], nil
}

// check judges the parameters of a routed request, and drops those that S3 ignores.
func (c *Call) check(rt route) *Error {
	if err := c.checkPart(rt); err != nil {
		return err
	}
	if c.Query.Has("versionId") {
		if !rt.takes("versionId") {
			return invalidArgument("This operation does not accept a version-id.", "versionId", c.Query.Get("versionId"))
		}
		if c.Query.Get("versionId") == "" {
			return invalidArgument("Version id cannot be the empty string", "versionId", "")
		}
	}
	if rt.selector == "uploadId" && c.Query.Get("uploadId") == "" {
		// To storage that goes by the value it is a request for the object itself: Ceph RGW would delete it.
		return ErrNoSuchUpload.Field("UploadId", "")
	}
	if rt.op == ListObjectsV2 && c.Query.Get("list-type") != "2" {
		return invalidArgument("Invalid List Type specified in Request", "list-type", c.Query.Get("list-type"))
	}
	if rt.op == ListBuckets && c.Query.Has("max-buckets") {
		value := c.Query.Get("max-buckets")
		if n, err := strconv.Atoi(value); err != nil || n < 1 || n > maxBuckets {
			return invalidArgument("Argument max-buckets must be an integer between 1 and 10000.", "max-buckets", value)
		}
	}
	if rt.op == PostObject {
		if kind, _, err := mime.ParseMediaType(c.Header.Get("Content-Type")); err != nil || kind != "multipart/form-data" {
			return ErrPreconditionFailed.Field("Condition", "Bucket POST must be of the enclosure-type multipart/form-data")
		}
	}
	if err := c.checkParams(rt); err != nil {
		return err
	}
	return CheckHeaders(c.Op, c.Header)
}

// maxBuckets is the longest page of ListBuckets.
const maxBuckets = 10000

// checkPart judges partNumber, which says different things in different places.
func (c *Call) checkPart(rt route) *Error {
	if !c.Query.Has("partNumber") {
		return nil
	}
	value := c.Query.Get("partNumber")
	switch {
	case rt.level == bucket:
		return ErrInvalidRequest.With("Object must have a valid key name.")
	case rt.op == PutObject || rt.op == CopyObject:
		// Storage that ignores the parameter would replace the object by the part.
		return invalidArgument("This operation does not accept partNumber without uploadId", "partNumber", value)
	case !rt.takes("partNumber"):
		return nil // refused below as an unknown parameter
	}
	if n, err := strconv.Atoi(value); err != nil || n < 1 || n > MaxParts || value[0] == '+' {
		return invalidArgument("Part number must be an integer between 1 and 10000, inclusive", "partNumber", value)
	}
	if (rt.op == GetObject || rt.op == HeadObject) && c.Header.Get("Range") != "" {
		return ErrInvalidRequest.With("Cannot specify both Range header and partNumber query parameter")
	}
	return nil
}

// checkParams refuses parameters that the operation does not know, with one exception: AWS ignores what it does not know, people put
// "?v=2" behind an address to get past caches, and a form upload sends the browser on with parameters of its own. A parameter without a
// value could be a sub-resource, so it is no such thing.
func (c *Call) checkParams(rt route) *Error {
	reading := false
	switch rt.op {
	case GetObject, HeadObject, HeadBucket, ListObjects, ListObjectsV2, ListObjectVersions: // minio-go lists with "metadata=true"
		reading = true
	}
	seen := map[string]bool{}
	for name, value := range c.Query.All() {
		if !rt.takes(name) {
			if reading && value != "" && !everySelector[name] {
				continue
			}
			return ErrNotImplemented.With("A query parameter you provided implies functionality that is not implemented.").Field("Parameter", name)
		}
		if seen[name] {
			return invalidArgument("A query parameter was given more than once.", name, value)
		}
		seen[name] = true
		if strings.IndexByte(value, 0) >= 0 {
			return ErrInvalidArgument.With("A query parameter holds a NUL byte.").Field("ArgumentName", name)
		}
	}
	c.Query.keep(func(p param) bool { return rt.takes(p.name) })
	return nil
}
