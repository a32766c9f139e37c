package kmsfile

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"

	cloudkms "cloud.google.com/go/kms/apiv1"
	"gocloud.dev/gcp"
	"gocloud.dev/secrets"
	"gocloud.dev/secrets/awskms"
	"gocloud.dev/secrets/azurekeyvault"
	"gocloud.dev/secrets/gcpkms"

	"cofre/keys"
)

// The clouds. Each is spoken to by gocloud.dev, with the URLs that it documents.

var awsProvider = provider{
	scheme: "awskms", check: checkAWS, open: openAWS,
	reach:  "check region and network, and that this machine has credentials (AWS_*, a profile or a role)",
	access: "check the credentials (AWS_*) and that they may use kms:Encrypt and kms:Decrypt with this key",
}

// awsContext is the name of the encryption context that binds a data key to its site. KMS shows it in CloudTrail, and key
// policies can ask for it.
const awsContext = "cofre-site"

func checkAWS(u *url.URL) error {
	if strings.Trim(path.Join(u.Host, u.Path), "/") == "" {
		return errors.New("names no key: write awskms://KEY-ID?region=R, awskms://alias/NAME?region=R or awskms:///ARN?region=R")
	}
	if endpoint := u.Query().Get("endpoint"); endpoint != "" {
		e, err := url.Parse(endpoint)
		if err != nil || e.User != nil || e.Host == "" || e.Scheme != "https" && e.Scheme != "http" {
			return errors.New("parameter endpoint is no plain URL")
		}
	}
	known := []string{"region", "profile", "role", "endpoint", "hostname_immutable", "dualstack", "fips"}
	for name := range u.Query() {
		if strings.HasPrefix(name, "context_") { // more of the encryption context, where a key's policy asks for it
			known = append(known, name)
		}
	}
	return onlyParameters(u, known...)
}

func openAWS(ctx context.Context, u *url.URL, site keys.SiteID) (keeper, error) {
	urlOpener := awskms.URLOpener{Options: awskms.KeeperOptions{EncryptionContext: map[string]string{awsContext: site.String()}}}
	return urlOpener.OpenKeeperURL(ctx, u)
}

var gcpProvider = provider{
	scheme: "gcpkms", check: checkGCP, open: openGCP(dialGCP),
	reach:  "check the network, and that this machine has credentials (GOOGLE_APPLICATION_CREDENTIALS or a service account)",
	access: "check the credentials and that they have the role cloudkms.cryptoKeyEncrypterDecrypter on this key",
}

var gcpKeyPattern = regexp.MustCompile(`^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$`)

func checkGCP(u *url.URL) error {
	if !gcpKeyPattern.MatchString(path.Join(u.Host, u.Path)) {
		return errors.New("names no key: write gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K, without a version")
	}
	return onlyParameters(u)
}

// gcpDialer makes a client and says how to close it.
type gcpDialer func(context.Context) (*cloudkms.KeyManagementClient, func(), error)

func dialGCP(ctx context.Context) (*cloudkms.KeyManagementClient, func(), error) {
	credentials, err := gcp.DefaultCredentials(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("find credentials: %w", err)
	}
	return gcpkms.Dial(ctx, credentials.TokenSource)
}

func openGCP(dial gcpDialer) opener {
	return func(ctx context.Context, u *url.URL, site keys.SiteID) (keeper, error) {
		client, done, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		options := gcpkms.KeeperOptions{AdditionalAuthenticatedData: associated(dataKeyLabel, site)}
		return closing{gcpkms.OpenKeeper(client, path.Join(u.Host, u.Path), &options), done}, nil
	}
}

// closing closes a keeper's client with it.
type closing struct {
	*secrets.Keeper
	client func()
}

func (c closing) Close() error {
	defer c.client()
	return c.Keeper.Close()
}

var azureProvider = provider{
	scheme: "azurekeyvault", check: checkAzure, open: openAzure(azurekeyvault.DefaultClientMaker),
	reach:  "check the vault's name and the network, and that this machine has credentials (AZURE_* or a managed identity)",
	access: "check the credentials (AZURE_*) and that they may use encrypt and decrypt with this key",
}

var (
	azureHostPattern = regexp.MustCompile(`^[a-z0-9-]+\.vault\.[a-z0-9.-]+$`)
	azurePathPattern = regexp.MustCompile(`^/keys/[A-Za-z0-9-]+(/[A-Za-z0-9]+)?$`)
)

// checkAzure wants the key's version too: Key Vault decrypts with the newest one unless told otherwise, and that one does
// not open what an older one sealed, so the first rotation of the key would lock the site out.
func checkAzure(u *url.URL) error {
	match := azurePathPattern.FindStringSubmatch(u.Path)
	if !azureHostPattern.MatchString(u.Host) || match == nil {
		return errors.New("names no key: write azurekeyvault://VAULT.vault.azure.net/keys/NAME/VERSION")
	}
	if match[1] == "" {
		return errors.New("names no version of the key: add /VERSION, or what is sealed now does not open once the key is rotated")
	}
	return onlyParameters(u, "algorithm")
}

func openAzure(client azurekeyvault.ClientMakerT) opener {
	return func(ctx context.Context, u *url.URL, _ keys.SiteID) (keeper, error) {
		urlOpener := azurekeyvault.URLOpener{ClientMaker: client}
		return urlOpener.OpenKeeperURL(ctx, u)
	}
}
