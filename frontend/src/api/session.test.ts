import { expect, test } from "vitest";
import { csrfToken, loginAddress, safeNext } from "./session";

const HERE = "https://map.example";

test("only addresses of this site are gone on to", () => {
  for (const good of ["/", "/?wall", "/analyst?x=1#scope=3301"]) {
    expect(safeNext(good, HERE)).toBe(good);
  }
  for (const bad of [
    null,
    "",
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "/\t/evil.example",
    "\\\\evil.example",
    "javascript:alert(1)",
    "/login",
    "/login?next=/",
    "evil",
  ]) {
    expect(safeNext(bad, HERE)).toBe("/");
  }
});

test("the way to the login page comes back to where one was", () => {
  expect(loginAddress({ pathname: "/", search: "", hash: "#scope=3301" })).toBe(
    "/login#scope=3301",
  );
  expect(loginAddress({ pathname: "/", search: "?wall", hash: "" })).toBe("/login?next=%2F%3Fwall");
});

test("the token is read from either cookie", () => {
  expect(csrfToken("a=b; __Host-wusetu_csrf=x-1_")).toBe("x-1_");
  expect(csrfToken("wusetu_csrf=y")).toBe("y");
  expect(csrfToken("not_wusetu_csrf=y")).toBe("");
});
