// Judges tests/vectors/v1 except releases.json. For Node and browsers.

import { outcome } from "./attestation.mjs";
import { keyPair } from "./keys.mjs";

/**
 * @param {object} lib The client's protocol modules (test/conformance/modules.mjs).
 * @param {Record<string, object>} files By name: key-descriptor, batch, ids, seal, reply, hpke.
 * @returns {Promise<{name: string, expected: string, found: string}[]>}
 */
export async function protocolVectors(lib, files) {
  const outcomes = [];
  const add = async (name, expected, call) =>
    outcomes.push({ name, expected, found: await outcome(async () => JSON.stringify(await call())) });
  const is = (name, expected, call) => add(name, JSON.stringify(expected), call);
  const refused = (name, call, code = "record_invalid") => add(name, `refused ${code}`, call);

  await descriptorVectors(lib, files["key-descriptor"], is, refused);
  await batchVectors(lib, files.batch, is, refused);
  await idVectors(lib, files.ids, is, refused);
  await sealVectors(lib, files.seal, is);
  await replyVectors(lib, files.reply, is, refused);
  await hpkeVectors(lib, files.hpke, is);
  return outcomes;
}

async function descriptorVectors(lib, file, is, refused) {
  const { fromHex: unhex, toHex: hex } = lib;
  for (const { name, encoding, hash, fields, derived } of file.valid) {
    await is(`descriptor: ${name}`, { hash, ...fields, ...derived }, async () => {
      const d = await lib.readDescriptor(unhex(encoding));
      const recipient = d.recipient && { suite: lib.SUITE, public_key: hex(d.recipient) };
      return {
        hash: hex(d.hash),
        key_id: d.keyId,
        suite: lib.SUITE,
        public_key: hex(d.publicKey),
        issued_at: d.issuedAtMs,
        expires_at: d.expiresAtMs,
        purpose: d.purpose,
        release_to: recipient ?? "caller",
        client_nonce: hex(d.clientNonce),
        instance_id: d.instance,
        public_key_pem: lib.publicKeyPem(d.publicKey),
        ...(derived.public_key_jwk && { public_key_jwk: lib.publicKeyJwk(d.publicKey) }),
        info: hex(lib.sealInfo(d)),
      };
    });
  }
  for (const { name, encoding } of file.invalid) {
    await refused(`descriptor: ${name}`, () => lib.readDescriptor(unhex(encoding)));
  }
}

async function batchVectors(lib, file, is, refused) {
  const { fromHex: unhex, toHex: hex } = lib;
  for (const tree of file.trees) {
    await is(`batch of ${tree.size}`, [tree.root, tree.size], async () => {
      const header = await lib.readBatchHeader(unhex(tree.user_data));
      return [hex(header.root), header.size];
    });
    const header = await lib.readBatchHeader(unhex(tree.user_data));
    for (const { index, record, path } of tree.inclusions) {
      await is(`place ${index} of ${tree.size}`, true, () =>
        lib.isIncluded(unhex(record), { index, path: path.map(unhex) }, header),
      );
    }
  }
  for (const { name, size, root, index, record, path } of file.refused) {
    const header = { root: unhex(root), size };
    await is(`batch: ${name}`, false, () => lib.isIncluded(unhex(record), { index, path: path.map(unhex) }, header));
  }
  for (const { name, encoding, root, size, log_size, log_root } of file.headers.valid) {
    await is(`header: ${name}`, [root, size, log_size, log_root], async () => {
      const header = await lib.readBatchHeader(unhex(encoding));
      return [hex(header.root), header.size, header.logSize, hex(header.logRoot)];
    });
  }
  for (const { name, encoding } of file.headers.invalid) {
    await refused(`header: ${name}`, () => lib.readBatchHeader(unhex(encoding)));
  }
}

async function idVectors(lib, file, is, refused) {
  const { fromHex: unhex, toHex: hex } = lib;
  for (const { log_key, instance_id } of file.instance_ids) {
    await is(`instance ${instance_id}`, instance_id, () => lib.instanceOfLogKey(unhex(log_key)));
  }
  for (const { bytes, base64url } of file.key_ids) {
    await is(`key id ${base64url}`, base64url, () => lib.toBase64Url(unhex(bytes)));
  }
  for (const { nonce, count, client_nonces } of file.nonces) {
    await is(`nonces for ${count}`, client_nonces, () =>
      Promise.all(client_nonces.map(async (_, index) => hex(await lib.nonceForKey(unhex(nonce), index, count)))),
    );
  }
  for (const { name, encoding, nonce, time } of file.statements.valid) {
    await is(`statement: ${name}`, [nonce, time], async () => {
      const statement = await lib.readStatement(unhex(encoding));
      return [hex(statement.nonce), statement.timeMs];
    });
  }
  for (const { name, encoding } of file.statements.invalid) {
    await refused(`statement: ${name}`, () => lib.readStatement(unhex(encoding)));
  }
}

/** The HPKE library acts as the enclave: the client only seals. */
async function sealVectors(lib, file, is) {
  const { fromHex: unhex, toHex: hex } = lib;
  const keys = await keyPair(file.key.private_key, file.key.public_key);
  const open = (info, { enc, aad, ciphertext }) => lib.hpkeOpen(keys, unhex(enc), info, unhex(aad), unhex(ciphertext));
  for (const sealed of file.sealed) {
    const descriptor = await lib.readDescriptor(unhex(sealed.descriptor));
    const info = lib.sealInfo(descriptor);
    await is(`seal: ${sealed.name}`, [sealed.info, sealed.plaintext, sealed.request_digest], async () => [
      hex(info),
      hex(await open(info, sealed)),
      hex(
        await lib.requestDigest({
          descriptorHash: descriptor.hash,
          enc: unhex(sealed.enc),
          aad: unhex(sealed.aad),
          ciphertext: unhex(sealed.ciphertext),
        }),
      ),
    ]);
    await is(`seal: ${sealed.name}, sealed here`, sealed.plaintext, async () => {
      const { enc, ciphertext } = await lib.sealTo(descriptor.publicKey, {
        plaintext: unhex(sealed.plaintext),
        aad: unhex(sealed.aad),
        info,
      });
      return hex(await open(info, { enc: hex(enc), aad: sealed.aad, ciphertext: hex(ciphertext) }));
    });
  }
  for (const message of file.must_not_open) {
    await is(`seal: ${message.name}`, "does not open", async () => {
      const info = lib.sealInfo(await lib.readDescriptor(unhex(message.descriptor)));
      return open(info, message).then(hex, () => "does not open");
    });
  }
}

async function replyVectors(lib, file, is, refused) {
  const { fromHex: unhex, toHex: hex } = lib;
  const recipient = await lib.RecipientKey.fromKeyPair(await keyPair(file.recipient.private_key, file.recipient.public_key));
  const open = async (instance, context, reply, aad) => {
    const read = await lib.readReply(unhex(reply));
    const expected = { purpose: read.descriptor.purpose, aad: aad === undefined ? read.aad : unhex(aad) };
    const opened = await lib.readReplyContext(unhex(context));
    if (hex(opened.recipient) !== hex(recipient.publicKey)) return "is another recipient's";
    return hex(await recipient.openRecords(instance, opened, read, expected));
  };
  const { context } = file;
  await is(
    "reply: its context",
    [context.context_id, context.recipient, context.enc, context.created_at, context.expires_at],
    async () => {
      const read = await lib.readReplyContext(unhex(context.record));
      return [hex(read.contextId), hex(read.recipient), hex(read.enc), read.createdAtMs, read.expiresAtMs];
    },
  );
  await is("reply: its info", context.info, () => hex(lib.replyInfo(context.instance_id, unhex(context.context_id))));
  for (const reply of file.replies) {
    await is(`reply: ${reply.name}`, [reply.binding, reply.exporter_context, reply.plaintext], async () => {
      const binding = await lib.bindingOf(await lib.readReply(unhex(reply.record)));
      const plaintext = await open(context.instance_id, context.record, reply.record, reply.aad);
      return [hex(binding), hex(lib.exporterContext(binding)), plaintext];
    });
  }
  const codes = {
    "a document of another instance": "instance_mismatch",
    "a context with another encapsulated key": "reply_open_failed",
    "a context of another id": "reply_context_mismatch",
    "another descriptor": "reply_open_failed",
    "another aad": "reply_open_failed",
    "another request": "reply_open_failed",
    "another context id": "reply_context_mismatch",
    "tag changed": "reply_open_failed",
  };
  for (const { name, instance_id, context, reply } of file.must_be_refused) {
    const call = () => open(instance_id, context, reply);
    if (name === "a context for somebody else") await is(`reply: ${name}`, "is another recipient's", call);
    else await refused(`reply: ${name}`, call, codes[name] ?? "(no code for this case)");
  }
  for (const { name, encoding } of file.invalid_contexts) {
    await refused(`context: ${name}`, () => lib.readReplyContext(unhex(encoding)));
  }
  for (const { name, encoding } of file.invalid_replies) await refused(`reply: ${name}`, () => lib.readReply(unhex(encoding)));
}

async function hpkeVectors(lib, file, is) {
  const { fromHex: unhex, toHex: hex } = lib;
  for (const vector of file.cases) {
    const keys = await keyPair(vector.skRm, vector.pkRm);
    for (const { exporter_context, L, exported_value } of vector.exports) {
      await is(`hpke: ${vector.name ?? vector.info}, ${L} bytes`, exported_value, async () =>
        hex(
          await lib.receiveExport(keys, unhex(vector.enc), {
            info: unhex(vector.info),
            exporterContext: unhex(exporter_context),
            length: L,
          }),
        ),
      );
    }
    const [{ aad, pt, ct }] = vector.encryptions;
    await is(`hpke: ${vector.info}, a message`, pt, async () =>
      hex(await lib.hpkeOpen(keys, unhex(vector.enc), unhex(vector.info), unhex(aad), unhex(ct))),
    );
  }
}
