"""One gallery, several groups: search among the staff only, and erase somebody for good.

python examples/06_groups.py
"""

import vultus
from vultus.samples import known_dir, photos_dir

v = vultus.load()
with vultus.open_gallery(":memory:") as people:  # or a file, or postgresql://…
    for name, pictures in vultus.people_tree(known_dir()):
        v.enroll(people, name, pictures)
    people.add_group("staff", note="may open the door")
    people.add_group("visitors")
    people.join("Barack Obama", "staff", info="badge 44")
    people.join("Joe Biden", "visitors")

    for groups in (["staff"], ["visitors"], ["staff", "visitors"]):
        found = v.identify(people, photos_dir() / "wall.jpg", groups=groups)
        names = sorted(answer.name for answer in found if answer.name)
        print(f"among {' and '.join(groups)}: {', '.join(names)}")

    erased = people.remove("Joe Biden")
    print(f"erased: {erased} face; still known: {', '.join(p.id for p in people.people())}")
    print("findings:", people.verify())
    print("last change:", people.audit()[-1].action)
