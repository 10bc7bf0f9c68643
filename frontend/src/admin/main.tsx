/** Entry of the page for admins and auditors. */
import "../style/font.css";
import "../style/base.css";
import "../login/login.css";
import "./admin.css";
import { render } from "solid-js/web";
import { Page } from "./page.view";

render(() => <Page />, document.getElementById("app") as HTMLElement);
