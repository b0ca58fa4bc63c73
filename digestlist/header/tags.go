// SPDX-License-Identifier: Apache-2.0

package header

// Tags that digestd reads (rpm, include/rpm/rpmtag.h).
const (
	tagHeaderImage      uint32 = 61 // region of a package from before rpm 4, made when it was installed
	TagHeaderSignatures uint32 = 62 // region of a signature header
	TagHeaderImmutable  uint32 = 63 // region of a package's header

	TagPubKeys           uint32 = 266 // string array, base64
	TagDSAHeader         uint32 = 267 // binary OpenPGP signature of the region, DSA or an elliptic curve
	TagRSAHeader         uint32 = 268 // the same, RSA
	TagSHA1Header        uint32 = 269 // string, hex
	TagSHA256Header      uint32 = 273 // string, hex
	TagOpenPGP           uint32 = 278 // string array, base64 OpenPGP signatures of the region
	TagName              uint32 = 1000
	TagVersion           uint32 = 1001
	TagRelease           uint32 = 1002
	TagEpoch             uint32 = 1003
	TagSummary           uint32 = 1004
	TagDescription       uint32 = 1005
	TagInstallTime       uint32 = 1008 // unsigned section
	TagVendor            uint32 = 1011
	TagOS                uint32 = 1021
	TagArch              uint32 = 1022
	TagOldFilenames      uint32 = 1027
	TagFileSizes         uint32 = 1028
	TagFileStates        uint32 = 1029 // unsigned section
	TagFileModes         uint32 = 1030 // 16 bits each
	TagFileDigests       uint32 = 1035 // string array, hex; "" for what has no content
	TagFileFlags         uint32 = 1037
	TagSourceRPM         uint32 = 1044
	TagVerifyFlags       uint32 = 1045 // per file, what rpm -V compares; absent: all
	TagProvideName       uint32 = 1047
	TagPayloadCompressor uint32 = 1125
	TagDirIndexes        uint32 = 1116
	TagBaseNames         uint32 = 1117
	TagDirNames          uint32 = 1118
	TagLongFileSizes     uint32 = 5008 // 64 bits each, where a file has 4 GiB or more
	TagFileDigestAlg     uint32 = 5011 // OpenPGP hash algorithm; absent: MD5
	TagPayloadSHA256     uint32 = 5092 // string array of one, hex; of the payload as it is in the file
	TagModularity        uint32 = 5096 // string, "name:stream:version:context" of the module
	TagPayloadSHA512     uint32 = 5121 // string, hex; as TagPayloadSHA256
	TagPayloadSHA3       uint32 = 5123 // string, hex, SHA3-256; as TagPayloadSHA256
)

// Types of an entry's data (rpm, include/rpm/rpmtag.h).
const (
	typeChar        = 1
	typeInt8        = 2
	typeInt16       = 3
	typeInt32       = 4
	typeInt64       = 5
	typeString      = 6
	typeBin         = 7
	typeStringArray = 8
	typeI18NString  = 9
)
