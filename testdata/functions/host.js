// Serves the functions of a folder as Twilio would: POST /name runs name.js with the form as its event,
// and answers the TwiML that it calls back with. Instead of the package twilio there is as much of it
// as the functions use. Prints its address; ends when standard input does.
'use strict';

const http = require('http');
const Module = require('module');
const path = require('path');

const escapes = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escape = (text) => String(text).replace(/[&<>"]/g, (c) => escapes[c]);

class Verb {
  constructor(name, attributes = {}, text = '') {
    Object.assign(this, { name, attributes, text, children: [] });
  }

  add(name, attributes, text) {
    const child = new Verb(name, attributes, text);
    this.children.push(child);
    return child;
  }

  xml() {
    const attributes = Object.entries(this.attributes).map(([k, v]) => ` ${k}="${escape(v)}"`).join('');
    return `<${this.name}${attributes}>${escape(this.text)}${this.children.map((c) => c.xml()).join('')}</${this.name}>`;
  }
}

class Dial extends Verb {
  sip(uri) {
    return this.add('Sip', {}, uri);
  }
}

class VoiceResponse extends Verb {
  constructor() {
    super('Response');
  }

  dial(attributes) {
    const dial = new Dial('Dial', attributes);
    this.children.push(dial);
    return dial;
  }

  redirect(attributes, url) {
    return this.add('Redirect', attributes, url);
  }

  toString() {
    return `<?xml version="1.0" encoding="UTF-8"?>${this.xml()}`;
  }
}

const load = Module._load;
Module._load = function (request, ...rest) {
  return request === 'twilio' ? { twiml: { VoiceResponse } } : load.call(this, request, ...rest);
};

const [folder, address] = process.argv.slice(2);

const server = http.createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const form = new URLSearchParams(Buffer.concat(chunks).toString());
    const answer = (error, result) => {
      response.writeHead(error ? 500 : 200, { 'Content-Type': error ? 'text/plain' : 'text/xml' });
      response.end(String(error || result));
    };
    try {
      const { handler } = require(path.join(folder, `${path.basename(request.url)}.js`));
      handler({}, Object.fromEntries(form), answer);
    } catch (error) {
      answer(error);
    }
  });
});

server.listen(0, address, () => console.log(`http://${address}:${server.address().port}`));
process.stdin.on('end', () => process.exit(0)).resume();
