// The client's modules as the vectors need them: more than what the package exports.

import { suite } from "../../dist/hpke.js";

export { fromHex, fromUtf8, toBase64Url, toHex } from "../../dist/bytes.js";
export { receiveExport, sealTo } from "../../dist/hpke.js";
export { answered, SealedMessage } from "../../dist/key.js";
export { instanceOfLogKey, isIncluded, nonceForKey, readBatchHeader } from "../../dist/protocol/batch.js";
export { publicKeyFromText, publicKeyJwk, publicKeyPem, readDescriptor, sealInfo } from "../../dist/protocol/descriptor.js";
export { SUITE } from "../../dist/protocol/record.js";
export { bindingOf, exporterContext, readReply, readReplyContext, replyInfo, requestDigest } from "../../dist/protocol/reply.js";
export { readStatement } from "../../dist/protocol/statement.js";
export { parseAttested, parseSealedReply, RecipientKey } from "../../dist/recipient.js";
export { parseKeyState } from "../../dist/service.js";

/** What the enclave does. */
export function hpkeOpen(keys, enc, info, aad, ciphertext) {
  return suite().Open(keys, enc, ciphertext, { info, aad });
}
