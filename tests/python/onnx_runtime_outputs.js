// Outputs of ONNX Runtime, for onnx_runtime_outputs.py: node onnx_runtime_outputs.js LIST. LIST is a JSON file, a list of
// {"file", "input", "type", "shape", "output"}: a model, the values of its one input, and the file that gets its first
// output. Needs npm's package onnxruntime-node in the folder node_modules here or above.
const fs = require('fs');
const path = require('path');
const ort = require(require.resolve('onnxruntime-node', {paths: [process.cwd()]}));

async function run(entry) {
  const session = await ort.InferenceSession.create(entry.file, {intraOpNumThreads: 1});
  const bytes = new Uint8Array(fs.readFileSync(path.resolve(entry.input))).buffer;
  const values = entry.type === 'int64' ? new BigInt64Array(bytes) : new Float32Array(bytes);
  const feeds = {[session.inputNames[0]]: new ort.Tensor(entry.type, values, entry.shape)};
  const y = (await session.run(feeds))[session.outputNames[0]];
  fs.writeFileSync(entry.output, Buffer.from(y.data.buffer, y.data.byteOffset, y.data.byteLength));
  fs.writeFileSync(entry.output + '.shape', JSON.stringify(y.dims));
}

(async () => {
  for (const entry of JSON.parse(fs.readFileSync(process.argv[2]))) await run(entry);
})();
