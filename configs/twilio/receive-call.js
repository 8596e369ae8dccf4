// Twilio Function /receive-call: dials the edge for every call that the Studio flow sends here.
// `handoff setup` fills in the constants.

const EDGE = '<<js .Edge>>'; // host of the edge, and its port when that is not 5061
const PARAMS = '<<js .SIPParams>>'; // ;secure=true is TLS and SRTP: Twilio knows no sips:
const DIAL_ACTION = '<<js .DialAction>>'; // hears how the call to the edge ended; '' is nobody

exports.handler = function (context, event, callback) {
  const { VoiceResponse } = require('twilio').twiml;

  const number = String(event.Called || event.To || '');
  if (!/^\+?[0-9]{3,15}$/.test(number)) {
    return callback(new Error('receive-call: the called party is no telephone number'));
  }
  let uri = `sip:${number}@${EDGE}${PARAMS}`;
  // The edge moves the caller by this CallSid when a REFER can't: X-Twilio-CallSid names another leg.
  if (/^CA[0-9a-f]{32}$/i.test(event.CallSid || '')) {
    uri += `?X-Parent-CallSid=${event.CallSid}`;
  }

  // answerOnBridge: the caller hears ringing until Watson answers, and stays with Watson when a transfer fails.
  const options = { answerOnBridge: true, referUrl: '/refer-handler' };
  if (DIAL_ACTION) {
    options.action = DIAL_ACTION;
  }
  const response = new VoiceResponse();
  response.dial(options).sip(uri);
  return callback(null, response);
};
