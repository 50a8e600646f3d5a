"""Sentences about S3 errors. Nothing of the error but its code is shown: the rest can hold keys and addresses."""

from __future__ import annotations

from urllib.parse import urlsplit

_BY_CODE = {
    "NoSuchBucket": "There is no bucket {bucket} at {where}. Create it, or correct the name.",
    "AccessDenied": "S3 denies access to the bucket {bucket} at {where}. The key or role needs s3:GetObject, "
    "s3:PutObject, s3:DeleteObject on its objects, and s3:ListBucket on the bucket.",
    "InvalidAccessKeyId": "{where} does not know the access key. Check AWS_ACCESS_KEY_ID, AWS_PROFILE and "
    "AWS_ENDPOINT_URL.",
    "SignatureDoesNotMatch": "{where} refuses the secret key. Check AWS_SECRET_ACCESS_KEY.",
    "ExpiredToken": "The temporary credentials for {where} have expired. Renew them.",
    "InvalidToken": "{where} refuses the session token. Check AWS_SESSION_TOKEN.",
    "RequestTimeTooSkewed": "The clock of this machine differs too much from that of {where}. Set it.",
    "PermanentRedirect": "The bucket {bucket} is in another region. Set AWS_REGION to it.",
    "AuthorizationHeaderMalformed": "The bucket {bucket} is in another region. Set AWS_REGION to it.",
    "NotImplemented": "The service at {where} does not have conditional writes (If-Match, If-None-Match), which are "
    "needed. Use AWS S3, or a service or release that has them.",
}
_SAME = {
    "403": "AccessDenied",
    "Forbidden": "AccessDenied",
    "AllAccessDisabled": "AccessDenied",
    "301": "PermanentRedirect",
    "IllegalLocationConstraintException": "PermanentRedirect",
    "ExpiredTokenException": "ExpiredToken",
    "TokenRefreshRequired": "ExpiredToken",
    "501": "NotImplemented",
}
_BY_CLASS = {
    "NoCredentialsError": "There are no AWS credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
    "AWS_PROFILE, or give the machine a role.",
    "PartialCredentialsError": "The AWS credentials are incomplete. Set both AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY.",
    "CredentialRetrievalError": "The AWS credentials cannot be obtained from the configured provider. Check "
    "AWS_PROFILE and the files in ~/.aws.",
    "ProfileNotFound": "The AWS profile of AWS_PROFILE is not in the files in ~/.aws.",
    "ConfigParseError": "The AWS configuration in ~/.aws cannot be parsed.",
    "InvalidRegionError": "AWS_REGION is not a region.",
    "SSLError": "The certificate of {where} is not trusted. Set AWS_CA_BUNDLE to the certificate of your company.",
    "ParamValidationError": "{bucket} cannot be the name of a bucket.",
    "SSOTokenLoadError": "The AWS single sign-on session has expired. Run `aws sso login`.",
    "UnauthorizedSSOTokenError": "The AWS single sign-on session has expired. Run `aws sso login`.",
    "TokenRetrievalError": "The AWS single sign-on session has expired. Run `aws sso login`.",
}
_UNREACHABLE = (
    "{where} cannot be reached ({name}). Check AWS_ENDPOINT_URL, AWS_REGION, the network and the proxy settings, and "
    "run the command again."
)


def sentence(error: BaseException, bucket: str, endpoint: str = "") -> str:
    """Return a sentence about an error of boto3 or botocore: what happened, and what to do.

    Args:
        error: the error.
        bucket: the name of the bucket.
        endpoint: the address of the service.
    """
    where = urlsplit(endpoint).hostname or "S3"
    code = str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
    name = next((each.__name__ for each in type(error).__mro__ if each.__name__ in _BY_CLASS), "")
    if isinstance(error, ValueError) and "endpoint" in str(error).lower():
        return "AWS_ENDPOINT_URL must be an address such as https://s3.example.com."
    if text := _BY_CODE.get(_SAME.get(code, code)) or _BY_CLASS.get(name):
        return text.format(bucket=bucket, where=where)
    if code:
        return (
            f"S3 at {where} answered {code} for the bucket {bucket}. Run the command again; if it is the same, look "
            "the code up in the documentation of the service."
        )
    return _UNREACHABLE.format(where=where, name=type(error).__name__)
