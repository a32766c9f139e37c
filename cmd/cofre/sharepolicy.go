package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// policy is a bucket policy in AWS's language, as far as sharing needs it.
type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid       string
	Effect    string
	Principal map[string][]string
	Action    []string
	Resource  []string
	Condition map[string]map[string][]string `json:",omitempty"`
}

func sharePolicyCommand(a app) *cobra.Command {
	var src source
	var bucket string
	var users []string
	var depositOnly []string
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Print the policies that the sites' users need on the storage",
		Long: "Print two bucket policies in JSON: for the bucket itself, which its owner puts there, and for the system bucket, which\n" +
			"its owner puts there. Name the backend user of every site, the owner's too: on Ceph RGW an object belongs to\n" +
			"whoever wrote it, and its bucket's owner may not read it without this policy.\n\n" +
			"  cofre share policy --bucket b --backend-user hospital-a --backend-user hospital-b",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := src.load(a)
			if err != nil {
				return err
			}
			if err := printPolicy(a.stdout, "bucket "+bucket, bucketPolicy(bucket, users, depositOnly)); err != nil {
				return err
			}
			return printPolicy(a.stdout, "system bucket "+cfg.Backend.SystemBucket, systemPolicy(cfg.Backend.SystemBucket, bucket, append(users, depositOnly...)))
		},
	}
	src.flags(cmd, a)
	cmd.Flags().StringVar(&bucket, "bucket", "", "the bucket")
	cmd.Flags().StringArrayVar(&users, "backend-user", nil, "a user of the storage who reads and writes, as its policies name it: a user id of RGW, or a whole ARN (repeatable)")
	cmd.Flags().StringArrayVar(&depositOnly, "deposit-user", nil, "the same for a site that only deposits")
	require(cmd, "bucket", "backend-user")
	return cmd
}

func printPolicy(w io.Writer, of string, p policy) error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("encode policy: %w", err)
	}
	_, err = fmt.Fprintf(w, "# policy of %s\n%s\n", of, text)
	return err
}

// principals makes ARNs of the ids of RGW's users.
func principals(users []string) map[string][]string {
	arns := make([]string, len(users))
	for i, u := range users {
		if arns[i] = u; !strings.HasPrefix(u, "arn:") {
			arns[i] = "arn:aws:iam:::user/" + u
		}
	}
	return map[string][]string{"AWS": arns}
}

func bucketPolicy(bucket string, users, deposit []string) policy {
	whole, objects := "arn:aws:s3:::"+bucket, "arn:aws:s3:::"+bucket+"/*"
	p := policy{Version: "2012-10-17", Statement: []statement{
		{
			Sid: "CofreMembersBucket", Effect: "Allow", Principal: principals(users), Resource: []string{whole},
			Action: []string{"s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads", "s3:GetBucketLocation", "s3:GetBucketVersioning"},
		},
		{
			Sid: "CofreMembersObjects", Effect: "Allow", Principal: principals(users), Resource: []string{objects},
			Action: []string{
				"s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectAcl", "s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObjectTagging", "s3:PutObjectTagging",
				"s3:DeleteObjectTagging", "s3:GetObjectVersionTagging", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload",
			},
		},
	}}
	if len(deposit) > 0 {
		p.Statement = append(p.Statement, statement{
			Sid: "CofreDeposit", Effect: "Allow", Principal: principals(deposit), Resource: []string{whole, objects},
			// To write includes to look at what was just written: a lost answer is settled by a HEAD.
			Action: []string{"s3:GetObject", "s3:PutObject", "s3:GetBucketVersioning", "s3:ListBucket", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"},
		})
	}
	return p
}

// systemPolicy gives the users what lies below the bucket's own prefix in the system bucket, where each judges by its signature
// what others wrote, and the two prefixes in which every cofre keeps things of its own for minutes.
func systemPolicy(system, bucket string, users []string) policy {
	whole := "arn:aws:s3:::" + system
	prefixes := []string{"buckets/" + bucket + "/*", "forms/*", "probe/*"}
	var objects []string
	for _, p := range prefixes {
		objects = append(objects, whole+"/"+p)
	}
	return policy{Version: "2012-10-17", Statement: []statement{
		{
			Sid: "CofreKeys", Effect: "Allow", Principal: principals(users), Resource: objects,
			Action: []string{"s3:GetObject", "s3:PutObject", "s3:DeleteObject"},
		},
		{
			Sid: "CofreListKeys", Effect: "Allow", Principal: principals(users), Resource: []string{whole}, Action: []string{"s3:ListBucket"},
			Condition: map[string]map[string][]string{"StringLike": {"s3:prefix": prefixes}},
		},
	}}
}
