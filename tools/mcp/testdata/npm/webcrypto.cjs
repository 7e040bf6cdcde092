// The web's crypto is a global from Node 19 on; the everything server needs it.
globalThis.crypto ??= require("node:crypto").webcrypto;
