/** Entry of the login page. */
import "../style/font.css";
import "../style/base.css";
import "./login.css";
import { render } from "solid-js/web";
import { Page } from "./page.view";

render(() => <Page />, document.getElementById("app") as HTMLElement);
