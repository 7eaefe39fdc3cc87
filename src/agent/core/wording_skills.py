"""What the program says to a model of skills."""

EN = {
    "use_skill": (
        "Read how something is done. Call this first where a skill's description (under Skills, in what was learnt) fits the task, then follow it.\n\n"
        "Args:\n    name: the skill's name"
    ),
    "read_skill_file": (
        "Read a file that belongs to a skill, where the skill's text says so.\n\n"
        "Args:\n    name: the skill's name\n    path: as the skill names it, such as references/details.md"
    ),
    "skill_files": "[Files of this skill, for read_skill_file: {files}]",
    "skill_unknown": "There is no skill {name!r} here. There are: {known}.",
    "skill_gone": "The skill {name!r} was taken out of use. Go on without it.",
    "skill_file_unknown": "The skill {name!r} has no file {path!r}. It has: {files}. Its text is read with use_skill.",
    "skill_file_binary": "{path!r} is no text ({size} bytes) and cannot be read.",
    "skill_no_files": "none",
}
ZH = {
    "use_skill": "阅读某件事的做法。如果某个技能的描述(见所学内容中的“技能”)符合任务,请先调用此工具,再按其内容执行。\n\nArgs:\n    name: 技能的名称",
    "read_skill_file": (
        "读取属于某个技能的文件;仅在技能的正文提到该文件时使用。\n\nArgs:\n    name: 技能的名称\n    path: 技能正文中所写的路径,例如 references/details.md"
    ),
    "skill_files": "[此技能的文件,可用 read_skill_file 读取:{files}]",
    "skill_unknown": "此处没有名为 {name!r} 的技能。现有:{known}。",
    "skill_gone": "技能 {name!r} 已停用,请在没有它的情况下继续。",
    "skill_file_unknown": "技能 {name!r} 没有文件 {path!r}。现有:{files}。其正文请用 use_skill 读取。",
    "skill_file_binary": "{path!r} 不是文本({size} 字节),无法读取。",
    "skill_no_files": "无",
}
