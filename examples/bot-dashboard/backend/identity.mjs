// Who a CONNECT packet speaks for. The token of user X is "token-of-X": made up, and there to be wrong.

const TOKEN = /^token-of-(.+)$/;

/** The user of `auth`; throws an Error whose message the client receives as `connect_error`. */
export function authenticate(auth, faults) {
  const { token, userId } = auth ?? {};
  const owner = typeof token === "string" ? TOKEN.exec(token)?.[1] : undefined;
  if (!owner && !faults.has("accept-any-token")) throw new Error("invalid token");
  if (owner && owner !== userId && !faults.has("trust-user-id")) {
    throw new Error("token does not belong to this user");
  }
  if (typeof userId !== "string" || !userId) throw new Error("invalid token");
  return userId;
}
