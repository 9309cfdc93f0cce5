// The client's modules for the vectors: more than the package exports.

import { suite } from "../../dist/hpke.js";

export { fromHex, fromUtf8, toBase64Url, toHex } from "../../dist/bytes.js";
export { SUITE } from "../../dist/codes.js";
export { receiveExport, sealTo } from "../../dist/hpke.js";
export { parseIssued, SealedMessage } from "../../dist/key.js";
export { instanceOfLogKey, isIncluded, nonceForKey, readBatchHeader } from "../../dist/protocol/batch.js";
export { publicKeyFromText, publicKeyJwk, publicKeyPem, readDescriptor, sealInfo } from "../../dist/protocol/descriptor.js";
export { bindingOf, exporterContext, readReply, readReplyContext, replyInfo, requestDigest } from "../../dist/protocol/reply.js";
export { readStatement } from "../../dist/protocol/statement.js";
export { parseAttested, parseSealedReply, RecipientKey } from "../../dist/recipient.js";
export { parseKeyState } from "../../dist/service.js";

/** The enclave's half. */
export function hpkeOpen(keys, enc, info, aad, ciphertext) {
  return suite().Open(keys, enc, ciphertext, { info, aad });
}
