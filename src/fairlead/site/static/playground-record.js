// Records from the microphone as WAV: 16 bit, one channel, 16 kHz, which every API with audio takes. The browser records
// in a format of its own; it is converted here, and nothing is sent before the message is.

const RATE = 16_000;
export const MOST_SECONDS = 300;

// Begins to record: {seconds(), stop(): the File}. Throws what the browser throws; "insecure" where pages may not record.
export async function record() {
  if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) throw new DOMException("", "insecure");
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true }), recorder = new MediaRecorder(stream), pieces = [], began = performance.now();
  recorder.addEventListener("dataavailable", event => pieces.push(event.data));
  const ended = new Promise(resolve => recorder.addEventListener("stop", resolve, { once: true }));
  recorder.start();
  return {
    seconds: () => Math.floor((performance.now() - began) / 1000),
    async stop() {
      if (recorder.state !== "inactive") recorder.stop();
      await ended;
      for (const track of stream.getTracks()) track.stop();
      return new File([await wav(new Blob(pieces, { type: recorder.mimeType }))], "recording.wav", { type: "audio/wav" });
    },
  };
}

// Why there is no recording, as a name of the page's words.
export const reason = error => ({ NotAllowedError: "mic_denied", NotFoundError: "mic_none", insecure: "mic_insecure" })[error.name] ?? "mic_failed";

async function wav(blob) {
  const context = new AudioContext();
  try {
    const sound = await context.decodeAudioData(await blob.arrayBuffer());
    const offline = new OfflineAudioContext(1, Math.max(1, Math.ceil(sound.duration * RATE)), RATE), source = offline.createBufferSource();
    source.buffer = sound;
    source.connect(offline.destination);
    source.start();
    return encoded((await offline.startRendering()).getChannelData(0));
  } finally { context.close(); }
}

// http://soundfile.sapp.org/doc/WaveFormat/
function encoded(samples) {
  const bytes = new DataView(new ArrayBuffer(44 + samples.length * 2));
  const text = (at, letters) => [...letters].forEach((one, place) => bytes.setUint8(at + place, one.charCodeAt(0)));
  text(0, "RIFF"); bytes.setUint32(4, 36 + samples.length * 2, true); text(8, "WAVEfmt ");
  bytes.setUint32(16, 16, true); bytes.setUint16(20, 1, true); bytes.setUint16(22, 1, true);
  bytes.setUint32(24, RATE, true); bytes.setUint32(28, RATE * 2, true); bytes.setUint16(32, 2, true); bytes.setUint16(34, 16, true);
  text(36, "data"); bytes.setUint32(40, samples.length * 2, true);
  samples.forEach((one, at) => bytes.setInt16(44 + at * 2, Math.max(-1, Math.min(1, one)) * 0x7fff, true));
  return bytes.buffer;
}
