// A provider of OpenID Connect (npm's oidc-provider, certified by the OpenID Foundation) for one client. Whoever comes is signed
// in at once, as the account that the last line of stdin has named; a line also replaces its settings: see `make`.

import { createServer } from "node:http";
import { createInterface } from "node:readline";
import Provider from "oidc-provider";
import { exportJWK, generateKeyPair } from "jose";

const SCOPES = "openid email profile groups";
const now = Date.now;
let account = {}, provider, issuer;

async function newKey(kid) {
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  return { ...(await exportJWK(privateKey)), kid, use: "sig", alg: "RS256" };
}

// `key`: the id of its key, another one each time; `said`: the issuer that tokens name.
async function make({ key = "one", said = issuer } = {}) {
  const client = (id) => ({
    client_id: id, client_secret: "a-client-secret-of-the-tests", redirect_uris: [process.env.CALLBACK], scope: SCOPES,
    token_endpoint_auth_method: "client_secret_basic",
  });
  const made = new Provider(said, {
    clients: [client("fairlead"), client("another")],
    jwks: { keys: [await newKey(key)] },
    pkce: { required: () => true },
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"], groups: ["groups"] },
    cookies: { keys: ["a key of the tests"] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ ...account, sub }) }),
    ttl: { IdToken: 3600, AccessToken: 600, AuthorizationCode: 60, Interaction: 600, Session: 600, Grant: 600 },
    async loadExistingGrant(ctx) {
      const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope(SCOPES);
      await grant.save();
      return grant;
    },
  });
  made.callback_ = made.callback();
  return made;
}

const server = createServer(async (request, response) => {
  if (!request.url.startsWith("/interaction/")) return provider.callback_(request, response);
  await provider.interactionFinished(request, response, { login: { accountId: account.sub } });
});
server.listen(0, "127.0.0.1", async () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  provider = await make();
  console.log(JSON.stringify({ issuer }));
  for await (const line of createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line);
    if (asked.account) account = asked.account;
    if ("late" in asked) Date.now = () => now() - asked.late * 1000; // by so many seconds its clock is behind
    if (asked.make) provider = await make(asked.make);
    console.log("{}");
  }
  process.exit(0);
});
