// What every runtime must do: give the vectors their verdicts, and deliver a message. Uses nothing of the
// runtime but `fetch`, for input and report.

import * as lib from "../../dist/index.js";
import { answerVectors } from "../conformance/answers.mjs";
import { attestationVectors, realDocuments } from "../conformance/attestation.mjs";
import * as modules from "../conformance/modules.mjs";
import { protocolVectors } from "../conformance/protocol.mjs";
import { run as releaseVectors } from "../conformance/releases.mjs";
import { job } from "./job.mjs";

/**
 * Runs the harness's input for this runtime, and reports `{ outcomes }`, or `{ failed }` with the error.
 *
 * @param {string} base The harness's address.
 * @param {{ fetch?: typeof fetch }} options As the client's calls take them.
 */
export async function report(base, options = {}) {
  const ask = options.fetch ?? fetch;
  let result;
  try {
    const input = await (await ask(`${base}/input.json`)).json();
    result = { outcomes: await outcomesOf(input, options) };
  } catch (error) {
    result = { failed: describeError(error) };
  }
  await ask(`${base}/report`, { method: "POST", body: JSON.stringify(result) });
}

async function outcomesOf({ service, vectors }, options) {
  const outcomes = await job(lib, service, options);
  if (vectors === undefined) return outcomes;
  for (const file of vectors.attestation) outcomes.push(...(await attestationVectors(lib, file)));
  outcomes.push(...(await protocolVectors(modules, vectors.protocol)));
  outcomes.push(...(await answerVectors(lib, vectors.answers)));
  outcomes.push(...(await releaseVectors(vectors.releases, lib)));
  if (vectors.real) outcomes.push(...(await realDocuments(lib, vectors.real)));
  return outcomes;
}

/** An error with its causes. */
function describeError(error) {
  const cause = error?.cause === undefined ? "" : `\ncaused by ${describeError(error.cause)}`;
  return `${error?.name}: ${error?.message}\n${error?.stack}${cause}`;
}
