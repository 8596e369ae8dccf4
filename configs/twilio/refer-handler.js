// Twilio Function /refer-handler: sends a caller whom Watson hands over back to the Studio flow, with
// the key to the conversation so far. `handoff setup` fills in the constants.

const FLOW = '<<js .StudioURL>>'; // WEBHOOK URL of the flow's Trigger
const HEADER = '<<js .KeyHeader>>'; // twilio.refer.header of the edge

exports.handler = function (context, event, callback) {
  const { VoiceResponse } = require('twilio').twiml;

  let url = `${FLOW}?FlowEvent=return`;
  const key = sessionHistoryKey(uriHeaders(String(event.ReferTransferTarget || '')));
  if (key) {
    url += `&SessionHistoryKey=${encodeURIComponent(key)}`;
  }
  const response = new VoiceResponse();
  response.redirect({ method: 'POST' }, url);
  return callback(null, response);
};

// uriHeaders reads the headers of a Refer-To's URI into a Map. Their names have no case; values stay encoded.
function uriHeaders(referTo) {
  const bracketed = /<([^>]*)>/.exec(referTo);
  const uri = bracketed ? bracketed[1] : referTo;
  const headers = new Map();
  const mark = uri.indexOf('?');
  if (mark < 0) {
    return headers;
  }
  for (const pair of uri.slice(mark + 1).split('&')) {
    const equals = pair.indexOf('=');
    if (equals > 0) {
      headers.set((decode(pair.slice(0, equals)) || '').toLowerCase(), pair.slice(equals + 1));
    }
  }
  return headers;
}

// sessionHistoryKey decodes the key once; '' when there is none that Studio can take on.
function sessionHistoryKey(headers) {
  const encoded = headers.get(HEADER.toLowerCase());
  if (encoded === undefined) {
    return '';
  }
  let key = decode(encoded);
  if (key !== null && HEADER === 'User-to-User') {
    key = key.split(';')[0]; // what follows is encoding=ascii
  }
  // A control character is nobody's key, and Studio does not escape " and \ for the task attributes:
  // the call would end there. The caller reaches an agent without it. Never log the key itself.
  if (key === null || /[\u0000-\u001f\u007f"\\]/.test(key)) {
    console.warn('refer-handler: the session history key is not fit to be handed on');
    return '';
  }
  return key;
}

// decode is decodeURIComponent; null for what it refuses.
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
