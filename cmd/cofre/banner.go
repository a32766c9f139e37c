package main

import (
	"io"
	"text/template"
)

// banner is what `cofre dev` prints when it is ready: lines to paste.
type banner struct {
	Endpoint, Admin, Data        string
	AccessKey, SecretKey, Region string
}

var bannerText = template.Must(template.New("banner").Parse(`
cofre dev is ready.  S3 {{.Endpoint}}   admin {{.Admin}}   data {{.Data}}
What it stores is sealed: look into {{.Data}}/backend. For trying out only; ctrl-C stops it, state is kept.

# aws
export AWS_ACCESS_KEY_ID={{.AccessKey}} AWS_SECRET_ACCESS_KEY={{.SecretKey}} AWS_DEFAULT_REGION={{.Region}}
aws --endpoint-url {{.Endpoint}} s3 mb s3://first
aws --endpoint-url {{.Endpoint}} s3 cp /etc/hosts s3://first/hosts
aws --endpoint-url {{.Endpoint}} s3 ls s3://first

# boto3
import boto3
s3 = boto3.client("s3", endpoint_url="{{.Endpoint}}", region_name="{{.Region}}",
                  aws_access_key_id="{{.AccessKey}}", aws_secret_access_key="{{.SecretKey}}")
print(s3.list_buckets()["Buckets"])

# rclone
export RCLONE_CONFIG_COFRE_TYPE=s3 RCLONE_CONFIG_COFRE_PROVIDER=Other RCLONE_CONFIG_COFRE_ENDPOINT={{.Endpoint}} RCLONE_CONFIG_COFRE_REGION={{.Region}}
export RCLONE_CONFIG_COFRE_ACCESS_KEY_ID={{.AccessKey}} RCLONE_CONFIG_COFRE_SECRET_ACCESS_KEY={{.SecretKey}}
rclone lsd cofre:

`))

func printBanner(w io.Writer, b banner) error { return bannerText.Execute(w, b) }
