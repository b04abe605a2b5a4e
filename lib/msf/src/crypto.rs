//! msf_md5.h, msf_sha1.h, msf_crc.h, msf_crypto.h: digests, checks and encodings.
