package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cofre/checksum"
	"cofre/internal/durable"
	"cofre/keys"
	"cofre/proxy"
	"cofre/seal"
)

// maxDocument bounds what is read of a file that holds a document.
const maxDocument = seal.MaxLayoutSize

// decryptPlan is what the flags of `cofre decrypt` say.
type decryptPlan struct {
	siteSource
	object, bucket, key        string
	envelope, attributes, head string
	layout, record, grant      string
	endorsements               []string
	customerKeyFile            string
	accept                     []string
	out                        string
	force                      bool
	asJSON                     bool
}

func decryptCommand(a app) *cobra.Command {
	var plan decryptPlan
	cmd := &cobra.Command{
		Use:   "decrypt",
		Short: "Open one raw object from files, off line, with the identity alone",
		Long: "Open one object as the storage has it, from files, with nothing but the site's identity (or a recovery identity) and the trust list\n" +
			"beside it. From the storage it needs:\n\n" +
			"  --object    the object's bytes (aws s3api get-object)\n" +
			"  --head      what aws s3api head-object prints of it; or --envelope and --attributes, the two values of its metadata\n" +
			"  --record    buckets/BUCKET/keks/KEK-ID/record.json of the system bucket\n" +
			"  --grant     buckets/BUCKET/keks/KEK-ID/grants/SITE-ID.json there, for this identity\n" +
			"  --layout    buckets/BUCKET/layouts/KEK-ID/OBJECT-ID there, of a multipart object\n\n" +
			"Without a record or a grant, the error names the KEK id. They are judged by the trust list, as in service. The output file appears when\n" +
			"the last byte has verified.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return decrypt(cmd.Context(), a, &plan) },
	}
	plan.flags(cmd, a)
	flags := cmd.Flags()
	flags.StringVar(&plan.object, "object", "", "file with the object's raw bytes")
	flags.StringVar(&plan.bucket, "bucket", "", "the bucket that it was written to")
	flags.StringVar(&plan.key, "key", "", "its key, exactly")
	flags.StringVar(&plan.envelope, "envelope", "", "its metadata cofre-envelope, or @FILE")
	flags.StringVar(&plan.attributes, "attributes", "", "its metadata cofre-attributes, or @FILE")
	flags.StringVar(&plan.head, "head", "", "file with the JSON of head-object, instead of --envelope and --attributes")
	flags.StringVar(&plan.layout, "layout", "", "file with its layout")
	flags.StringVar(&plan.record, "record", "", "file with its KEK's record")
	flags.StringVar(&plan.grant, "grant", "", "file with its KEK's grant to this identity")
	flags.StringArrayVar(&plan.endorsements, "endorsement", nil, "file with an endorsement of the record (repeatable), where its maker is not trusted any more")
	flags.StringVar(&plan.customerKeyFile, "customer-key-file", "", "file with the client's own key (SSE-C): 32 bytes, or base64 of them")
	flags.StringArrayVar(&plan.accept, "accept-closed", nil, acceptClosedUsage)
	flags.StringVar(&plan.out, "out", "", "file to write, or - for standard output")
	flags.BoolVar(&plan.force, "force", false, "write over an --out that is there already")
	flags.BoolVar(&plan.asJSON, "json", false, "tell size, ETag, checksum and headers as JSON")
	require(cmd, "object", "bucket", "key", "out")
	cmd.MarkFlagsMutuallyExclusive("head", "envelope")
	cmd.MarkFlagsOneRequired("head", "envelope")
	return cmd
}

func decrypt(ctx context.Context, a app, plan *decryptPlan) (err error) {
	accept, err := parseAccepted(plan.accept)
	if err != nil {
		return err
	}
	if err := plan.outIsFree(); err != nil {
		return err
	}
	header, env, err := plan.metadata()
	if err != nil {
		return err
	}
	if plan.record == "" || plan.grant == "" {
		return usagef("the object is under KEK %s: give --record and --grant", env.KEKID)
	}
	if env.Flags.Has(seal.Multipart) && plan.layout == "" {
		return usagef("the object was uploaded in parts: give --layout, buckets/%s/layouts/%s/%s of the system bucket", plan.bucket, env.KEKID, env.ObjectID)
	}
	customerKey, err := plan.customerKey()
	if err != nil {
		return err
	}
	cfg, id, err := plan.open(ctx, a)
	if err != nil {
		return err
	}
	f, err := os.Open(plan.object)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	raw := &rawObject{bucket: plan.bucket, key: plan.key, body: f, size: info.Size(), header: header, systemBucket: "system documents"}
	s, err := openScratch(ctx, scratchConfig{identity: id, identityFile: cfg.Site.Identity, backend: raw, systemBucket: raw.systemBucket, accept: accept})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if raw.documents, err = plan.documents(env, id, s.trust.Current()); err != nil {
		return err
	}
	o, err := s.handler.OpenObject(ctx, proxy.ObjectAt{Bucket: plan.bucket, Key: plan.key, CustomerKey: customerKey})
	if isEnvelope(err) {
		return fmt.Errorf("open object: %s\nan envelope opens under the very --bucket and --key that the object was written to: check both; if they are right, it was altered, or is another object's", proxy.Describe(err))
	}
	if err != nil {
		return fmt.Errorf("open object: %s", proxy.Describe(err))
	}
	defer o.Close()
	if err := plan.write(a, o); err != nil {
		return fmt.Errorf("open object: %s", proxy.Describe(err))
	}
	return plan.tell(a, o.Object)
}

// isEnvelope says that it is the envelope that does not open.
func isEnvelope(err error) bool {
	var fault *seal.IntegrityError
	return errors.As(err, &fault) && fault.Fault == seal.FaultEnvelope
}

// outIsFree refuses to write over a file, before anything is opened: it may be the only copy of another object.
func (p *decryptPlan) outIsFree() error {
	if p.out == "-" || p.force {
		return nil
	}
	_, err := os.Lstat(p.out)
	switch {
	case err == nil:
		return usagef("--out %s is there already: name another file, or give --force", p.out)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return nil
}

// write writes the plaintext: to a file that has its name when all has verified.
func (p *decryptPlan) write(a app, o *proxy.ObjectReader) error {
	if p.out == "-" {
		fmt.Fprintln(a.stderr, "cofre: what comes out counts only if this ends with exit code 0: the last bytes decide")
		_, err := io.Copy(a.stdout, o)
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(p.out), ".cofre-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = io.Copy(temp, o)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err == nil {
		err = p.give(temp.Name())
	}
	if err != nil {
		os.Remove(temp.Name())
	}
	return err
}

// give gives the whole file its name. Without --force nothing is written over, not even what came since the first look.
func (p *decryptPlan) give(temp string) error {
	if p.force {
		return os.Rename(temp, p.out)
	}
	if err := os.Link(temp, p.out); err != nil {
		return err
	}
	return os.Remove(temp)
}

// documents gives the files as the system bucket would.
func (p *decryptPlan) documents(env seal.Envelope, id *keys.Identity, trust *keys.TrustList) (map[string][]byte, error) {
	docs := map[string][]byte{}
	for name, path := range map[string]string{
		keys.RecordName(p.bucket, env.KEKID): p.record, keys.GrantName(p.bucket, env.KEKID, id.ID()): p.grant,
		seal.LayoutName(p.bucket, env.KEKID, env.ObjectID): p.layout,
	} {
		if path == "" {
			continue
		}
		doc, err := durable.Read(path, maxDocument)
		if err != nil {
			return nil, err
		}
		docs[name] = doc
	}
	if len(p.endorsements) == 0 {
		return docs, nil
	}
	record, err := keys.ParseRecord(docs[keys.RecordName(p.bucket, env.KEKID)])
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", p.record, err)
	}
	for _, path := range p.endorsements {
		doc, err := durable.Read(path, maxDocument)
		if err != nil {
			return nil, err
		}
		endorser, err := endorserOf(doc, record, trust)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		docs[keys.EndorsementName(p.bucket, env.KEKID, endorser)] = doc
	}
	return docs, nil
}

// endorserOf finds out which member of the trust list signed an endorsement: the document itself does not say.
func endorserOf(doc []byte, record keys.Record, trust *keys.TrustList) (keys.SiteID, error) {
	e, err := keys.ParseEndorsement(doc)
	if err != nil {
		return keys.SiteID{}, err
	}
	for _, member := range trust.Members(record.Bucket) {
		if e.Verify(member, record) == nil {
			return member.ID, nil
		}
	}
	return keys.SiteID{}, errors.New("the endorsement is of another record, or by nobody whom the trust list names as a member")
}

// metadata gives the object's headers as the storage gave them, and its envelope.
func (p *decryptPlan) metadata() (http.Header, seal.Envelope, error) {
	header := http.Header{"Etag": {`"raw"`}}
	if p.head != "" {
		if err := readHead(p.head, header); err != nil {
			return nil, seal.Envelope{}, err
		}
	}
	for name, value := range map[string]string{"envelope": p.envelope, "attributes": p.attributes} {
		text, err := valueOrFile(value)
		if err != nil {
			return nil, seal.Envelope{}, err
		}
		if text != "" {
			header.Set("x-amz-meta-cofre-"+name, text)
		}
	}
	env, err := seal.ParseEnvelope(header.Get("x-amz-meta-cofre-envelope"))
	if err != nil {
		return nil, env, fmt.Errorf("read envelope: %w", err)
	}
	return header, env, nil
}

// readHead reads what `aws s3api head-object` prints.
func readHead(path string, header http.Header) error {
	doc, err := durable.Read(path, maxDocument)
	if err != nil {
		return err
	}
	var head struct {
		Metadata                                                                                       map[string]string
		ContentType, ContentEncoding, ContentDisposition, ContentLanguage, CacheControl, ExpiresString string
	}
	if err := json.Unmarshal(doc, &head); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	for name, v := range map[string]string{
		"Content-Type": head.ContentType, "Content-Encoding": head.ContentEncoding, "Content-Disposition": head.ContentDisposition,
		"Content-Language": head.ContentLanguage, "Cache-Control": head.CacheControl, "Expires": head.ExpiresString,
	} {
		if v != "" {
			header.Set(name, v)
		}
	}
	for name, v := range head.Metadata {
		header.Set("x-amz-meta-"+name, v)
	}
	if header.Get("x-amz-meta-cofre-envelope") == "" {
		return fmt.Errorf("read %s: no Metadata with cofre-envelope: the object is not sealed, or this is not what head-object prints", path)
	}
	return nil
}

// valueOrFile gives a value, or the contents of the file that @FILE names.
func valueOrFile(value string) (string, error) {
	path, isFile := strings.CutPrefix(value, "@")
	if !isFile {
		return value, nil
	}
	doc, err := durable.Read(path, maxDocument)
	return strings.TrimSpace(string(doc)), err
}

const customerKeySize = 32

func (p *decryptPlan) customerKey() ([]byte, error) {
	if p.customerKeyFile == "" {
		return nil, nil
	}
	raw, err := durable.Read(p.customerKeyFile, 1024)
	if err != nil {
		return nil, err
	}
	if len(raw) == customerKeySize {
		return raw, nil
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil || len(key) != customerKeySize {
		return nil, usagef("%s holds no customer key: 32 bytes, or base64 of them", p.customerKeyFile)
	}
	return key, nil
}

// decrypted is what is told of an object that was opened.
type decrypted struct {
	Key      string            `json:"key"`
	Size     int64             `json:"size"`
	ETag     string            `json:"etag"`
	Checksum string            `json:"checksum,omitempty"` // algorithm, type and value
	Parts    int               `json:"parts,omitempty"`
	Headers  map[string]string `json:"headers"`
	Meta     map[string]string `json:"metadata"`
}

// tell says what the object is: on the standard output as JSON, else, and beside the plaintext, on the error output.
func (p *decryptPlan) tell(a app, o proxy.Object) error {
	d := decrypted{Key: o.Key, Size: o.Size, ETag: o.ETag, Parts: len(o.Parts), Headers: o.Headers, Meta: o.Meta}
	if o.Checksum.Algorithm != checksum.None {
		d.Checksum = fmt.Sprintf("%s %s %s", o.Checksum.Algorithm, o.Checksum.Type, base64.StdEncoding.EncodeToString(o.Checksum.Value))
	}
	if p.asJSON {
		out := a.stdout
		if p.out == "-" {
			out = a.stderr
		}
		return json.NewEncoder(out).Encode(d)
	}
	fmt.Fprintf(a.stderr, "%d bytes, ETag %s\n", d.Size, d.ETag)
	if d.Checksum != "" {
		fmt.Fprintf(a.stderr, "checksum %s\n", d.Checksum)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Headers)) {
		fmt.Fprintf(a.stderr, "%s: %q\n", name, d.Headers[name])
	}
	for _, name := range slices.Sorted(maps.Keys(d.Meta)) {
		fmt.Fprintf(a.stderr, "x-amz-meta-%s: %q\n", name, d.Meta[name])
	}
	return nil
}
